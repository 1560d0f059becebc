//! LZ4 frames as Kafka's `Lz4BlockOutputStream` writes them: version 1, independent blocks of at most 64 KiB, neither
//! block nor content checksums, no content size.

use lz4::block::{CompressionMode, compress_bound, compress_to_buffer};

use super::{Blocks, Encode, Full, Output};

/// Magic, flags (version 1, independent blocks), largest block (64 KiB), and the second byte of the xxHash-32 of those
/// two.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const BLOCK: usize = 64 * 1024;
/// In a block's size: it is not compressed.
const PLAIN: u32 = 1 << 31;
const END: [u8; 4] = [0; 4];
/// Kafka's default level, at which it takes lz4's fast compressor and not the thorough one.
const FASTEST: i32 = 9;

pub(super) struct Lz4 {
    mode: CompressionMode,
    blocks: Blocks,
    packed: Box<[u8]>,
}

impl Lz4 {
    pub(super) fn new(level: i32) -> Self {
        let mode = match level {
            FASTEST => CompressionMode::DEFAULT,
            level => CompressionMode::HIGHCOMPRESSION(level),
        };
        let packed = compress_bound(BLOCK).unwrap_or(2 * BLOCK);
        Self { mode, blocks: Blocks::new(BLOCK), packed: vec![0; packed].into_boxed_slice() }
    }
}

fn put(mode: CompressionMode, packed: &mut [u8], block: &[u8], out: &mut Output) -> Result<(), Full> {
    let len = compress_to_buffer(block, Some(mode), false, packed).map_err(|_| Full)?;
    if len < block.len() {
        out.put(&(len as u32).to_le_bytes())?;
        out.put(packed.get(..len).unwrap_or_default())
    } else {
        out.put(&(block.len() as u32 | PLAIN).to_le_bytes())?;
        out.put(block)
    }
}

impl Encode for Lz4 {
    fn begin(&mut self, _: usize) -> Result<(), Full> {
        self.blocks.filled = 0;
        Ok(())
    }

    fn push(&mut self, bytes: &[u8], out: &mut Output) -> Result<(), Full> {
        if out.used == 0 {
            out.put(&HEADER)?;
        }
        let Self { mode, blocks, packed } = self;
        blocks.push(bytes, |block| put(*mode, packed, block, out))
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Full> {
        let Self { mode, blocks, packed } = self;
        if let Some(block) = blocks.rest() {
            put(*mode, packed, block, out)?;
        }
        out.put(&END)
    }
}
