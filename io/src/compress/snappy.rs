//! Snappy in the framing of snappy-java's `SnappyOutputStream`, which is not Snappy's own framing format: a header of 16
//! bytes, then blocks of raw Snappy, each behind its compressed size (big endian).

use snap::raw::{Encoder, max_compress_len};

use super::{Blocks, Encode, Full, Output};

/// Magic, version 1, compatible with version 1.
pub(super) const HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// What a block holds before compression, as in snappy-java.
pub(super) const BLOCK: usize = 32 * 1024;

pub(super) struct Snappy {
    encoder: Encoder,
    blocks: Blocks,
    /// A compressed block: it may be larger than the block, and the encoder asks for that room.
    packed: Box<[u8]>,
}

impl Snappy {
    pub(super) fn new() -> Self {
        let packed = vec![0; max_compress_len(BLOCK)].into_boxed_slice();
        Self { encoder: Encoder::new(), blocks: Blocks::new(BLOCK), packed }
    }
}

fn put(encoder: &mut Encoder, packed: &mut [u8], block: &[u8], out: &mut Output) -> Result<(), Full> {
    let len = encoder.compress(block, packed).map_err(|_| Full)?;
    out.put(&(len as u32).to_be_bytes())?;
    out.put(packed.get(..len).unwrap_or_default())
}

impl Encode for Snappy {
    fn begin(&mut self, _: usize) -> Result<(), Full> {
        self.blocks.filled = 0;
        Ok(())
    }

    fn push(&mut self, bytes: &[u8], out: &mut Output) -> Result<(), Full> {
        if out.used == 0 {
            out.put(HEADER)?;
        }
        let Self { encoder, blocks, packed } = self;
        blocks.push(bytes, |block| put(encoder, packed, block, out))
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Full> {
        let Self { encoder, blocks, packed } = self;
        blocks.rest().map_or(Ok(()), |block| put(encoder, packed, block, out))
    }
}
