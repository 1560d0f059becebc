//! Cutting the byte stream of a connection into response frames: a 4-byte size, then that many bytes, of which the first
//! four are the correlation id.

use super::error::WireError;

/// The limit that librdkafka sets on a response by default, in bytes.
pub const DEFAULT_MAX_FRAME: usize = 100_000_000;
/// After a larger frame the buffer is given back, so that one big answer does not hold its memory for ever.
const KEEP: usize = 256 * 1024;
const SIZE_LEN: usize = 4;
const CORRELATION_LEN: usize = 4;

/// Gathers response frames from arbitrary splits of the byte stream.
///
/// A frame that lies whole in the input is lent from there, uncopied; only one that is cut is gathered in a buffer,
/// which grows with the bytes that came, never by the size that a peer states.
#[derive(Debug)]
pub struct FrameReader {
    max: usize,
    partial: Vec<u8>,
    /// The frame in `partial` has been lent out: forget it at the next call.
    lent: bool,
    failed: Option<WireError>,
}

/// One response.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which request it answers.
    pub correlation_id: i32,
    /// All that follows the correlation id. In flexible versions that begins with the response header's tagged fields:
    /// the parsers of this codec expect them there.
    pub body: &'a [u8],
}

impl FrameReader {
    /// A reader that refuses frames of more than `max` bytes (size field not counted).
    pub fn new(max: usize) -> Self {
        Self { max, partial: Vec::with_capacity(4096), lent: false, failed: None }
    }

    /// The next frame. Takes what it uses from the front of `input`; call it until it returns `None`, which is when the
    /// input is used up.
    ///
    /// # Errors
    /// [`WireError::FrameSize`] if the stream states a size outside 4 to `max`. The stream is lost then: every later call
    /// returns the same error.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if std::mem::take(&mut self.lent) {
            self.partial.clear();
            if self.partial.capacity() > KEEP {
                self.partial = Vec::with_capacity(4096);
            }
        }
        if self.partial.is_empty() {
            let Some(size) = self.size_of(input)? else {
                self.gather(input, SIZE_LEN);
                return Ok(None);
            };
            if let Some((frame, rest)) = input.split_at_checked(SIZE_LEN + size) {
                *input = rest;
                return Ok(frame_of(frame));
            }
        }
        self.gather(input, SIZE_LEN);
        let stated = std::mem::take(&mut self.partial);
        let size = self.size_of(&stated);
        self.partial = stated;
        let Some(size) = size? else { return Ok(None) };
        self.gather(input, SIZE_LEN + size);
        if self.partial.len() < SIZE_LEN + size {
            return Ok(None);
        }
        self.lent = true;
        Ok(frame_of(&self.partial))
    }

    /// Bytes of an unfinished frame that are held.
    pub fn pending(&self) -> usize {
        if self.lent { 0 } else { self.partial.len() }
    }

    /// Moves input to the buffer until that holds `upto` bytes or the input is empty.
    fn gather(&mut self, input: &mut &[u8], upto: usize) {
        let wanted = upto.saturating_sub(self.partial.len()).min(input.len());
        let (taken, rest) = input.split_at(wanted);
        self.partial.extend_from_slice(taken);
        *input = rest;
    }

    /// The size that the frame at the front of `bytes` states; `None` if the bytes end inside it.
    fn size_of(&mut self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        let Some(size) = bytes.first_chunk::<SIZE_LEN>() else { return Ok(None) };
        let size = i32::from_be_bytes(*size);
        match usize::try_from(size) {
            Ok(n) if (CORRELATION_LEN..=self.max).contains(&n) => Ok(Some(n)),
            _ => {
                let error = WireError::FrameSize { size, max: self.max };
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

/// A whole frame, size field included.
fn frame_of(bytes: &[u8]) -> Option<Frame<'_>> {
    let (id, body) = bytes.get(SIZE_LEN..)?.split_first_chunk::<CORRELATION_LEN>()?;
    Some(Frame { correlation_id: i32::from_be_bytes(*id), body })
}
