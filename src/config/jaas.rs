//! The one entry of a `sasl.jaas.config`: `CLASS required NAME="VALUE" …;`.
//!
//! As Java's `StreamTokenizer` reads it for Kafka: values are bare words or in quotation marks of either kind, with
//! backslash escapes within them.

/// What an entry says. It holds secrets, and so has no `Debug`.
pub(super) struct Entry {
    /// The class of the login module.
    pub(super) module: String,
    /// Its options, in order.
    pub(super) options: Vec<(String, String)>,
}

/// Reads an entry. What is wrong is said without repeating any of it.
pub(super) fn parse(text: &str) -> Result<Entry, &'static str> {
    let mut words = Words { rest: text };
    let module = words.word()?.ok_or("it has no login module")?;
    let flag = words.word()?.ok_or("the control flag after the login module is missing")?;
    if !["required", "requisite", "sufficient", "optional"].iter().any(|known| flag.eq_ignore_ascii_case(known)) {
        return Err("after the login module comes required, requisite, sufficient or optional");
    }
    let mut options = Vec::new();
    while let Some(name) = words.word()? {
        words.equals()?;
        let value = words.word()?.ok_or("an option has no value")?;
        options.push((name, value));
    }
    words.end()?;
    Ok(Entry { module, options })
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// The next word; none before a semicolon and at the end.
    fn word(&mut self) -> Result<Option<String>, &'static str> {
        self.blanks();
        let mut chars = self.rest.char_indices();
        let Some((_, first)) = chars.next() else { return Ok(None) };
        if first == '"' || first == '\'' {
            let mut word = String::new();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => match chars.next().ok_or("quotation marks are not closed")?.1 {
                        'n' => word.push('\n'),
                        'r' => word.push('\r'),
                        't' => word.push('\t'),
                        other => word.push(other),
                    },
                    c if c == first => {
                        self.rest = &self.rest[at + c.len_utf8()..];
                        return Ok(Some(word));
                    }
                    c => word.push(c),
                }
            }
            return Err("quotation marks are not closed");
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | ';' | '"' | '\''))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok((!word.is_empty()).then(|| word.to_owned()))
    }

    fn equals(&mut self) -> Result<(), &'static str> {
        self.blanks();
        self.rest = self.rest.strip_prefix('=').ok_or("an option has no value")?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        self.blanks();
        self.rest = self.rest.strip_prefix(';').ok_or("the semicolon at the end is missing")?;
        self.blanks();
        if self.rest.is_empty() { Ok(()) } else { Err("there is more than one entry") }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn entries_are_read_as_java_reads_them() {
        let text =
            " org.example.PlainLoginModule required\n username=\"me\" password = 'a\"b c;=' x=1 y=\"q\\\"\\\\\" ; ";
        let entry = parse(text).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(entry.module, "org.example.PlainLoginModule");
        let options: Vec<_> = entry.options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(options, [("username", "me"), ("password", "a\"b c;="), ("x", "1"), ("y", "q\"\\")]);
        assert!(parse("M required;").is_ok_and(|entry| entry.options.is_empty()));
    }

    #[test]
    fn malformed_entries_are_refused() {
        for text in [
            "",
            ";",
            "M",
            "M;",
            "M maybe a=b;",
            "M required a=b",
            "M required a;",
            "M required a=;",
            "M required a=\"b;",
            "M required a=b; N required;",
            "M required =b;",
            "M required a=\"\\",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
