//! Length-prefixed records: every field is a `NULLABLE_BYTES` of Kafka's protocol, a length of four bytes (big-endian, signed)
//! and so many bytes; -1 is null. With headers a record begins with their number and the name and value of each.

use super::{Fields, Headers, Parts, Wrong, cannot_be_read, too_long, wrong};
use std::borrow::Cow;
use std::io::BufRead;

const PREFIX: usize = 4;
/// The shortest header: two lengths.
const LEAST_HEADER: usize = 2 * PREFIX;

/// Reads the bytes of one record into `bytes`. How many they are; 0 at the end of the input. Whatever a length says, no more than `longest`
/// bytes are kept, and memory is taken only for bytes that are there.
pub(super) fn read(
    input: &mut impl BufRead,
    bytes: &mut Vec<u8>,
    parts: &Parts,
    longest: usize,
) -> Result<usize, Wrong> {
    bytes.clear();
    if input.fill_buf().map_err(|error| cannot_be_read(&error))?.is_empty() {
        return Ok(0);
    }
    let mut frame = Frame { input, bytes, longest };
    if parts.headers {
        let count = frame.length("the number of headers")?;
        if count < 0 {
            return wrong(format!("the number of headers is {count}: it must not be negative"));
        }
        if count as usize > longest / LEAST_HEADER {
            return wrong(format!("{count} headers: {}", too_long(longest)));
        }
        for _ in 0..count {
            frame.field("a header's name")?;
            frame.field("a header's value")?;
        }
    }
    if parts.key {
        frame.field("the key")?;
    }
    frame.field("the value")?;
    Ok(frame.bytes.len())
}

struct Frame<'a, R> {
    input: &'a mut R,
    bytes: &'a mut Vec<u8>,
    longest: usize,
}

impl<R: BufRead> Frame<'_, R> {
    fn field(&mut self, name: &str) -> Result<(), Wrong> {
        let length = self.length(name)?;
        match usize::try_from(length) {
            Ok(length) => self.copy(length, name),
            Err(_) if length == -1 => Ok(()),
            Err(_) => wrong(format!("the length of {name} is {length}: it must be 0 or more, or -1 for null")),
        }
    }

    fn length(&mut self, name: &str) -> Result<i32, Wrong> {
        self.copy(PREFIX, &format!("the length of {name}"))?;
        let last = self.bytes.last_chunk().copied().unwrap_or_default();
        Ok(i32::from_be_bytes(last))
    }

    fn copy(&mut self, length: usize, name: &str) -> Result<(), Wrong> {
        if length > self.longest.saturating_sub(self.bytes.len()).saturating_add(PREFIX) {
            return wrong(format!("{name} has {length} bytes: {}", too_long(self.longest)));
        }
        let mut left = length;
        while left > 0 {
            let there = self.input.fill_buf().map_err(|error| cannot_be_read(&error))?;
            if there.is_empty() {
                return wrong(format!("the input ends {left} bytes before the end of {name}"));
            }
            let take = left.min(there.len());
            self.bytes.extend_from_slice(&there[..take]);
            self.input.consume(take);
            left -= take;
        }
        Ok(())
    }
}

/// The fields of a record that [`read`] has put together.
pub(super) fn parse<'a>(bytes: &'a [u8], parts: &Parts) -> Result<Fields<'a>, Wrong> {
    let mut rest = bytes;
    let mut fields = Fields::default();
    if parts.headers {
        let count = number(&mut rest);
        let mut headers = Headers::new();
        for _ in 0..count {
            let name = field(&mut rest);
            let value = field(&mut rest);
            match name.map(std::str::from_utf8) {
                Some(Ok(name)) => headers.push((Cow::Borrowed(name), value.map(Cow::Borrowed))),
                Some(Err(_)) => return wrong("the name of a header is not UTF-8"),
                None => return wrong("the name of a header is null: only its value may be"),
            }
        }
        fields.headers = headers;
    }
    if parts.key {
        fields.key = field(&mut rest).map(Cow::Borrowed);
    }
    fields.value = field(&mut rest).map(Cow::Borrowed);
    Ok(fields)
}

fn number(rest: &mut &[u8]) -> i32 {
    rest.split_off(..PREFIX).and_then(|prefix| prefix.first_chunk().copied()).map_or(-1, i32::from_be_bytes)
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)).ok()?;
    rest.split_off(..length)
}

#[cfg(test)]
mod tests {
    use super::super::{Fields, Parts, Separators};
    use super::{parse, read};
    use std::io::BufReader;

    fn framed(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in fields {
            bytes.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
            bytes.extend(field.unwrap_or_default());
        }
        bytes
    }

    fn parts(key: bool, headers: bool) -> Parts {
        Parts { key, headers, separators: Separators::default() }
    }

    /// All records of an input that comes three bytes at a time.
    fn records(input: &[u8], parts: &Parts, longest: usize) -> Result<Vec<Vec<u8>>, String> {
        let mut input = BufReader::with_capacity(3, input);
        let (mut bytes, mut all) = (Vec::new(), Vec::new());
        while read(&mut input, &mut bytes, parts, longest).map_err(|why| why.to_string())? > 0 {
            all.push(bytes.clone());
        }
        Ok(all)
    }

    #[test]
    fn fields_come_back_as_they_were_framed() {
        let mut input = 2_i32.to_be_bytes().to_vec();
        input.extend(framed(&[
            Some(b"h"),
            Some(b"\xff"),
            Some(b"h"),
            None,
            Some(b"key"),
            Some(b"value\nwith a newline"),
        ]));
        input.extend(0_i32.to_be_bytes());
        input.extend(framed(&[None, None]));
        let parts = parts(true, true);
        let all = records(&input, &parts, 1_000).expect("well formed");
        let first = parse(&all[0], &parts).unwrap_or_default();
        assert_eq!(first.headers, [("h".into(), Some(b"\xff"[..].into())), ("h".into(), None)]);
        assert_eq!(first.key.as_deref(), Some(&b"key"[..]));
        assert_eq!(first.value.as_deref(), Some(&b"value\nwith a newline"[..]));
        assert!(parse(&all[1], &parts).is_ok_and(|fields| fields == Fields::default()));
        assert_eq!(all.len(), 2);
        assert_eq!(records(b"", &parts, 1_000), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_with_a_frame_is_said() {
        let value = framed(&[Some(b"0123456789")]);
        let with_headers = |count: i32, rest: &[Option<&[u8]>]| [&count.to_be_bytes()[..], &framed(rest)].concat();
        for (input, headers, expected) in [
            (value[..3].to_vec(), false, "the input ends 1 bytes before the end of the length of the value"),
            (value[..9].to_vec(), false, "the input ends 5 bytes before the end of the value"),
            ((-2_i32).to_be_bytes().to_vec(), false, "the length of the value is -2"),
            (i32::MAX.to_be_bytes().to_vec(), false, "the value has 2147483647 bytes: it is longer than"),
            (with_headers(-1, &[]), true, "must not be negative"),
            (with_headers(i32::MAX, &[]), true, "2147483647 headers: it is longer than"),
            (with_headers(1, &[Some(b"h")]), true, "the length of a header's value"),
        ] {
            let why = records(&input, &parts(false, headers), 100).expect_err("malformed");
            assert!(why.contains(expected), "{why}");
        }
        for (name, expected) in [(None, "is null"), (Some(&b"\xff"[..]), "not UTF-8")] {
            let input = with_headers(1, &[name, None, None]);
            let all = records(&input, &parts(false, true), 100).expect("complete");
            let why = parse(&all[0], &parts(false, true)).map_err(|why| why.to_string());
            assert!(why.is_err_and(|why| why.contains(expected)));
        }
    }
}
