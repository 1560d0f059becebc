//! A bounds-checked cursor over a response.

use super::error::WireError;
use super::varint;

/// Reads Kafka's primitive types from the front of a slice. Every read either succeeds within the slice or fails;
/// nothing is allocated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { rest: bytes, flexible }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn flexible(&self) -> bool {
        self.flexible
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated { field })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn bytes(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated { field })?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn i8(&mut self, field: &'static str) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn i16(&mut self, field: &'static str) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn uuid(&mut self, field: &'static str) -> Result<[u8; 16], WireError> {
        self.array(field)
    }

    pub(crate) fn uvarint(&mut self, field: &'static str) -> Result<u32, WireError> {
        let Some((value, len)) = varint::read32(self.rest) else {
            return Err(if self.rest.len() < varint::MAX_LEN_32 {
                WireError::Truncated { field }
            } else {
                WireError::InvalidVarint { field }
            });
        };
        self.bytes(len, field)?;
        Ok(value)
    }

    /// A count of elements; null (−1) is `None`. The number is only what the peer states: never allocate by it.
    pub(crate) fn nullable_count(&mut self, field: &'static str) -> Result<Option<usize>, WireError> {
        if self.flexible {
            return Ok((self.uvarint(field)? as usize).checked_sub(1));
        }
        match self.i32(field)? {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| WireError::InvalidLength { field, length: n.into() }),
        }
    }

    pub(crate) fn count(&mut self, field: &'static str) -> Result<usize, WireError> {
        self.nullable_count(field)?.ok_or(WireError::InvalidLength { field, length: -1 })
    }

    pub(crate) fn nullable_string(&mut self, field: &'static str) -> Result<Option<&'a str>, WireError> {
        let len = if self.flexible {
            (self.uvarint(field)? as usize).checked_sub(1)
        } else {
            match self.i16(field)? {
                -1 => None,
                n => Some(usize::try_from(n).map_err(|_| WireError::InvalidLength { field, length: n.into() })?),
            }
        };
        let Some(len) = len else { return Ok(None) };
        let bytes = self.bytes(len, field)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| WireError::InvalidUtf8 { field })
    }

    pub(crate) fn string(&mut self, field: &'static str) -> Result<&'a str, WireError> {
        self.nullable_string(field)?.ok_or(WireError::InvalidLength { field, length: -1 })
    }

    /// Passes over an array of 32-bit integers.
    pub(crate) fn skip_i32s(&mut self, field: &'static str) -> Result<(), WireError> {
        let n = self.nullable_count(field)?.unwrap_or(0);
        self.bytes(n.saturating_mul(4), field).map(drop)
    }

    /// The tagged fields of a flexible message (KIP-482); does nothing in the others. `on_field` gets each tag with a
    /// reader over its bytes; unknown tags are simply not read.
    pub(crate) fn tags(
        &mut self,
        mut on_field: impl FnMut(u32, Reader<'a>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if !self.flexible {
            return Ok(());
        }
        let n = self.uvarint("tagged field count")?;
        for _ in 0..n {
            let tag = self.uvarint("tag")?;
            let len = self.uvarint("tagged field length")? as usize;
            let bytes = self.bytes(len, "tagged field")?;
            on_field(tag, Reader::new(bytes, true))?;
        }
        Ok(())
    }

    pub(crate) fn skip_tags(&mut self) -> Result<(), WireError> {
        self.tags(|_, _| Ok(()))
    }
}
