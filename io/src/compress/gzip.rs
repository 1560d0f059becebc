//! gzip (RFC 1952): one member for a batch.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::{Encode, Full, Output};

/// Bits of deflate's window: 32 KiB, the most that the format has.
const WINDOW_BITS: u8 = 15;

pub(super) struct Gzip {
    state: Compress,
}

impl Gzip {
    /// `level` 1 to 9; anything else is the library's default, 6.
    pub(super) fn new(level: i32) -> Self {
        let level = u32::try_from(level).ok().filter(|level| (1..=9).contains(level));
        Self { state: Compress::new_gzip(level.map_or_else(Compression::default, Compression::new), WINDOW_BITS) }
    }

    /// Answers whether the stream has ended.
    fn step(&mut self, input: &mut &[u8], out: &mut Output, flush: FlushCompress) -> Result<bool, Full> {
        let (read, written) = (self.state.total_in(), self.state.total_out());
        let status = self.state.compress(input, out.room(), flush).map_err(|_| Full)?;
        let (read, written) = (self.state.total_in() - read, self.state.total_out() - written);
        *input = input.get(read as usize..).unwrap_or_default();
        out.advance(written as usize);
        match status {
            Status::StreamEnd => Ok(true),
            // Deflate does nothing only where it has no room for what it must write.
            _ if read == 0 && written == 0 => Err(Full),
            _ => Ok(false),
        }
    }
}

impl Encode for Gzip {
    fn begin(&mut self, _: usize) -> Result<(), Full> {
        self.state.reset();
        Ok(())
    }

    fn push(&mut self, mut bytes: &[u8], out: &mut Output) -> Result<(), Full> {
        while !bytes.is_empty() {
            self.step(&mut bytes, out, FlushCompress::None)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Full> {
        while !self.step(&mut &[][..], out, FlushCompress::Finish)? {}
        Ok(())
    }
}
