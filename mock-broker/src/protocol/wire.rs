//! Reading and writing the primitive types of the protocol, in place.
//!
//! Requests come from anyone, so they are read here and not by a general decoder: no length is believed before the
//! bytes are there, and nothing is allocated by one.

/// The bytes are not what the protocol says; the connection they came from is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

pub(crate) type Parsed<T> = Result<T, Malformed>;

/// Reads a request. `flexible` chooses between the two encodings of strings, arrays and bytes.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    whole: &'a [u8],
    at: usize,
    pub(crate) flexible: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0, flexible: false }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Bytes read before; empty if they are not there.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> &'a [u8] {
        self.whole.get(range).unwrap_or_default()
    }

    /// Text read before.
    pub(crate) fn text(&self, range: std::ops::Range<usize>) -> &'a str {
        std::str::from_utf8(self.slice(range)).unwrap_or_default()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.whole.len() - self.at
    }

    pub(crate) fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let taken = self.whole.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        self.take(N)?.first_chunk().copied().ok_or(Malformed)
    }

    pub(crate) fn i8(&mut self) -> Parsed<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn bool(&mut self) -> Parsed<bool> {
        self.i8().map(|byte| byte != 0)
    }

    pub(crate) fn i16(&mut self) -> Parsed<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Parsed<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Parsed<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn uuid(&mut self) -> Parsed<[u8; 16]> {
        self.array()
    }

    fn unsigned_varint(&mut self) -> Parsed<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A length whose unit takes at least one byte; `None` is null.
    fn length(&mut self, fixed: impl FnOnce(&mut Self) -> Parsed<i32>) -> Parsed<Option<usize>> {
        let length = if self.flexible {
            match self.unsigned_varint()? {
                0 => return Ok(None),
                length => length as usize - 1,
            }
        } else {
            match fixed(self)? {
                -1 => return Ok(None),
                length => usize::try_from(length).map_err(|_| Malformed)?,
            }
        };
        if length <= self.remaining() { Ok(Some(length)) } else { Err(Malformed) }
    }

    pub(crate) fn array_length(&mut self) -> Parsed<Option<usize>> {
        self.length(Self::i32)
    }

    pub(crate) fn nullable_bytes(&mut self) -> Parsed<Option<&'a [u8]>> {
        match self.length(Self::i32)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn nullable_string(&mut self) -> Parsed<Option<&'a str>> {
        match self.length(|r| r.i16().map(i32::from))? {
            Some(length) => std::str::from_utf8(self.take(length)?).map(Some).map_err(|_| Malformed),
            None => Ok(None),
        }
    }

    pub(crate) fn string(&mut self) -> Parsed<&'a str> {
        self.nullable_string()?.ok_or(Malformed)
    }

    /// Skips the tagged fields that end every structure of a flexible version.
    pub(crate) fn tags(&mut self) -> Parsed<()> {
        if self.flexible {
            for _ in 0..self.unsigned_varint()? {
                self.unsigned_varint()?;
                let size = self.unsigned_varint()? as usize;
                self.take(size)?;
            }
        }
        Ok(())
    }
}

/// Writes a response by hand, for the one that is on the hot path.
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) flexible: bool,
}

impl Writer<'_> {
    pub(crate) fn i16(&mut self, value: i16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    pub(crate) fn array_length(&mut self, length: usize) {
        if self.flexible {
            self.unsigned_varint(length as u32 + 1);
        } else {
            self.i32(length as i32);
        }
    }

    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        match (text, self.flexible) {
            (None, true) => self.unsigned_varint(0),
            (None, false) => self.i16(-1),
            (Some(text), true) => self.unsigned_varint(text.len() as u32 + 1),
            (Some(text), false) => self.i16(text.len() as i16),
        }
        self.out.extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    pub(crate) fn no_tags(&mut self) {
        if self.flexible {
            self.out.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_not_believed_before_the_bytes_are_there() {
        let mut fixed = Reader::new(&[0x7F, 0xFF, 0xFF, 0xFF, 1, 2]);
        assert_eq!(fixed.array_length(), Err(Malformed));
        let mut compact = Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1]);
        compact.flexible = true;
        assert_eq!(compact.nullable_bytes(), Err(Malformed));
        let mut negative = Reader::new(&[0xFF, 0xFF, 0xFF, 0xFE]);
        assert_eq!(negative.nullable_bytes(), Err(Malformed));
    }

    #[test]
    fn both_encodings_are_read_back() {
        for flexible in [false, true] {
            let mut out = Vec::new();
            let mut writer = Writer { out: &mut out, flexible };
            writer.array_length(200);
            writer.nullable_string(Some("orders"));
            writer.nullable_string(None);
            writer.no_tags();
            out.extend_from_slice(&[9; 200]);
            let mut reader = Reader::new(&out);
            reader.flexible = flexible;
            assert_eq!(reader.array_length(), Ok(Some(200)));
            assert_eq!(reader.string(), Ok("orders"));
            assert_eq!(reader.nullable_string(), Ok(None));
            assert_eq!(reader.tags(), Ok(()));
            assert_eq!(reader.remaining(), 200);
        }
    }

    #[test]
    fn unknown_tags_are_skipped() {
        let mut reader = Reader::new(&[2, 0, 1, 9, 5, 2, 8, 8, 77]);
        reader.flexible = true;
        assert_eq!(reader.tags(), Ok(()));
        assert_eq!(reader.i8(), Ok(77));
        let mut endless = Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0, 0, 0]);
        endless.flexible = true;
        assert_eq!(endless.tags(), Err(Malformed));
    }
}
