//! Java's properties format, as `java.util.Properties.load` reads it from a `Reader`.
//!
//! Comments begin with `#` or `!`; a key ends at the first unescaped `=`, `:` or blank; a line that ends in an odd number of
//! backslashes goes on in the next, whose leading blanks do not count; `\t \n \r \f \uXXXX` are escapes, any other escaped
//! character stands for itself. The text is UTF-8. Of equal keys the last counts.

use std::iter::Peekable;
use std::str::Chars;

/// One entry, with the number of the line it begins on, counted from 1.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// A `\u` escape that is not one, or that stands for half a character.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct BadEscape {
    pub(super) line: usize,
}

/// Reads a whole file's text: the entries, and the lines that could not be read. Never panics, whatever the text.
pub(super) fn parse(text: &str) -> (Vec<Entry>, Vec<BadEscape>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries = Vec::new();
    let mut bad = Vec::new();
    let mut lines = natural_lines(text).enumerate();
    while let Some((index, line)) = lines.next() {
        let line_number = index + 1;
        let content = line.trim_start_matches(blank);
        if content.is_empty() || content.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = content.to_owned();
        while goes_on(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start_matches(blank)),
                None => break,
            }
        }
        match split(&logical) {
            Some((key, value)) => entries.push(Entry { line: line_number, key, value }),
            None => bad.push(BadEscape { line: line_number }),
        }
    }
    (entries, bad)
}

/// Lines ended by `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let (line, tail) = text.split_at(end);
        rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..));
        Some(line)
    })
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Key and value of a logical line; `None` where an escape is malformed.
fn split(line: &str) -> Option<(String, String)> {
    let mut chars = line.chars().peekable();
    let key = unescape(&mut chars, |c| blank(c) || matches!(c, '=' | ':'))?;
    skip_blanks(&mut chars);
    if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
        skip_blanks(&mut chars);
    }
    let value = unescape(&mut chars, |_| false)?;
    Some((key, value))
}

fn skip_blanks(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| blank(*c)).is_some() {}
}

/// Reads up to the first unescaped character that `ends` and leaves it there.
fn unescape(chars: &mut Peekable<Chars<'_>>, ends: impl Fn(char) -> bool) -> Option<String> {
    let mut out = String::new();
    while let Some(c) = chars.next_if(|c| !ends(*c)) {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            None => break, // a backslash at the very end of the file stands for nothing
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(unicode(chars)?),
            Some(other) => out.push(other),
        }
    }
    Some(out)
}

/// The character of `XXXX` after `\u`, with the second half of a surrogate pair where the first is one.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let first = hex4(chars)?;
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first);
    }
    if chars.next() != Some('\\') || chars.next() != Some('u') {
        return None;
    }
    let second = hex4(chars)?;
    if !(0xDC00..0xE000).contains(&second) {
        return None;
    }
    char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
}

fn hex4(chars: &mut Peekable<Chars<'_>>) -> Option<u32> {
    (0..4).try_fold(0, |sum, _| Some(sum * 16 + chars.next()?.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::{BadEscape, parse};
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let (entries, bad) = parse(text);
        assert_eq!(bad, [], "{text:?}");
        entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(pairs(text), expected, "{text:?}");
    }

    #[test]
    fn separators() {
        check(
            "a=1\nb:2\nc 3\nd\t=\t4\ne = 5 \nf",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5 "), ("f", "")],
        );
        check("a==1", &[("a", "=1")]);
        check("a = : 1", &[("a", ": 1")]);
    }

    #[test]
    fn comments_and_blank_lines() {
        check("# x=1\n  ! y=2\n\n   \t\n a=1", &[("a", "1")]);
        check("# not continued \\\na=1", &[("a", "1")]);
    }

    #[test]
    fn lines_go_on_after_an_odd_number_of_backslashes() {
        check("a=1,\\\n    2,\\\r\n\t3\nb=4", &[("a", "1,2,3"), ("b", "4")]);
        check("a=1\\\\\nb=2", &[("a", "1\\"), ("b", "2")]);
        check("a=1\\\n# not a comment", &[("a", "1# not a comment")]);
        check("a=1\\\n\nb=2", &[("a", "1"), ("b", "2")]);
        check("a=1\\", &[("a", "1")]);
    }

    #[test]
    fn line_ends() {
        check("a=1\rb=2\r\nc=3", &[("a", "1"), ("b", "2"), ("c", "3")]);
    }

    #[test]
    fn escapes() {
        check("a\\=b\\:c\\ d=\\t\\n\\r\\f\\q\\\\", &[("a=b:c d", "\t\n\r\u{c}q\\")]);
        check("a=\\u00e9\\uD83D\\uDE00", &[("a", "é😀")]);
        check("\u{feff}a=é", &[("a", "é")]);
    }

    #[test]
    fn malformed_escapes_are_reported_with_their_line() {
        for text in
            ["a=1\n\nb=\\u12", "a=1\n\nb=\\uxyzw", "a=1\n\nb=\\uD800", "a=1\n\nb=\\uD800\\u0041", "a=1\n\nb=\\uDC00"]
        {
            let (entries, bad) = parse(text);
            assert_eq!(bad, [BadEscape { line: 3 }], "{text:?}");
            assert_eq!(entries.len(), 1);
        }
    }

    #[test]
    fn lines_are_numbered_by_where_they_begin() {
        let (entries, _) = parse("#\na=1\\\n2\nb=3");
        assert_eq!(entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [2, 4]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_text_of_special_characters_panics(text in "[\\\\u0-9a-fD=: \t\r\n#!]{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_escaped_reads_back(key in "[^\u{0}]{1,20}", value in "[^\u{0}]{0,20}") {
            let line = format!("{}={}", escape(&key), escape(&value));
            prop_assert_eq!(pairs(&line), vec![(key, value)]);
        }
    }

    /// As `java.util.Properties.store` would: everything that is not a letter or digit by its UTF-16 units.
    fn escape(text: &str) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out
    }
}
