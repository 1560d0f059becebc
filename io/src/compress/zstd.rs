//! Zstandard (RFC 8878): one frame for a batch. It states its size, so that small batches get small windows and tables, at
//! both ends.

use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use super::{Encode, Full, Output};

pub(super) struct Zstd {
    context: CCtx<'static>,
    level: i32,
}

impl Zstd {
    pub(super) fn new(level: i32) -> Self {
        Self { context: CCtx::create(), level }
    }

    /// Answers whether all that was asked is done: everything read, or the frame ended.
    fn step(&mut self, input: &mut InBuffer<'_>, out: &mut Output, how: ZSTD_EndDirective) -> Result<bool, Full> {
        let (left, written) = {
            let mut room = OutBuffer::around(out.room());
            let left = self.context.compress_stream2(&mut room, input, how).map_err(|_| Full)?;
            (left, room.pos())
        };
        out.advance(written);
        let done = match how {
            ZSTD_EndDirective::ZSTD_e_end => left == 0,
            _ => input.pos() == input.src.len(),
        };
        if !done && out.room().is_empty() { Err(Full) } else { Ok(done) }
    }
}

impl Encode for Zstd {
    fn begin(&mut self, len: usize) -> Result<(), Full> {
        // Also the error of a batch that was given up ends here.
        self.context.reset(ResetDirective::SessionOnly).map_err(|_| Full)?;
        self.context.set_parameter(CParameter::CompressionLevel(self.level)).map_err(|_| Full)?;
        self.context.set_pledged_src_size(Some(len as u64)).map_err(|_| Full)?;
        Ok(())
    }

    fn push(&mut self, bytes: &[u8], out: &mut Output) -> Result<(), Full> {
        let mut input = InBuffer::around(bytes);
        while !self.step(&mut input, out, ZSTD_EndDirective::ZSTD_e_continue)? {}
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Full> {
        while !self.step(&mut InBuffer::around(&[]), out, ZSTD_EndDirective::ZSTD_e_end)? {}
        Ok(())
    }
}
