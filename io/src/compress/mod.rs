//! Compressing the records of a batch, with one context and one output buffer that serve every batch.
//!
//! Whether a codec is there is a Cargo feature (`gzip`, `snappy`, `lz4`, `zstd`); what a codec is called, and its number
//! in a batch's attributes, is always known.
//!
//! | codec | by | format |
//! |---|---|---|
//! | gzip | flate2 over zlib-rs (Rust) | one gzip member |
//! | snappy | snap (Rust) | the blocks of snappy-java's `SnappyOutputStream`, which Kafka writes and reads |
//! | lz4 | lz4 (C, built with it) | LZ4 frames: independent blocks of 64 KiB, no checksums but the header's, as Kafka writes them |
//! | zstd | zstd-safe (C, built with it) | one frame that states its size |
//!
//! lz4 and zstd come from their authors' C code because nothing in Rust has their levels: what there is of zstd encoders
//! in Rust compresses worse at every speed, and of lz4 there is the fastest level alone. Both need a C compiler and no
//! package of the system.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
mod unpack;
#[cfg(feature = "zstd")]
mod zstd;

pub use unpack::UnpackError;
pub(crate) use unpack::unpack;

/// The bits of a batch's attributes that name the codec.
pub const CODEC_MASK: i16 = 0x07;

/// Kafka's codecs.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// `gzip`.
    Gzip,
    /// `snappy`.
    Snappy,
    /// `lz4`.
    Lz4,
    /// `zstd` (KIP-110).
    Zstd,
}

impl Codec {
    /// The codec's number in a batch's attributes.
    pub const fn attributes(self) -> i16 {
        match self {
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec that a batch's attributes name; `None` without one, and for the numbers that Kafka has not given.
    pub const fn of_attributes(attributes: i16) -> Option<Self> {
        match attributes & CODEC_MASK {
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Whether this build has it.
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Gzip => cfg!(feature = "gzip"),
            Self::Snappy => cfg!(feature = "snappy"),
            Self::Lz4 => cfg!(feature = "lz4"),
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }
}

/// `compression.type` and its level.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// The codec's own measure: gzip 1 to 9 or −1 (6), lz4 1 to 17 with 9 for the fastest, zstd −131072 to 22. Snappy has
    /// none.
    pub level: i32,
}

impl Compression {
    /// A codec at the level that Kafka uses where none is set.
    pub const fn with_default_level(codec: Codec) -> Self {
        let level = match codec {
            Codec::Gzip => -1,
            Codec::Snappy => 0,
            Codec::Lz4 => 9,
            Codec::Zstd => 3,
        };
        Self { codec, level }
    }
}

/// The codec of a [`Compression`] was left out when this crate was built.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this build has no {0:?}")]
pub struct NotBuiltIn(pub Codec);

/// The output has no room: what was compressed is not smaller than it was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// One codec's context. The three calls come in this order for each batch; a batch that was given up is followed by
/// `begin` all the same.
trait Encode: Send {
    /// A batch of `len` bytes is to come.
    fn begin(&mut self, len: usize) -> Result<(), Full>;

    /// Some of its bytes.
    fn push(&mut self, bytes: &[u8], out: &mut Output) -> Result<(), Full>;

    /// That was all.
    fn finish(&mut self, out: &mut Output) -> Result<(), Full>;
}

/// Where compressed bytes go: a buffer that outlives the batches, of which a batch may use as much as it has itself.
#[derive(Default)]
struct Output {
    buffer: Vec<u8>,
    used: usize,
    limit: usize,
}

#[cfg_attr(
    not(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")),
    allow(dead_code, reason = "no codec is built in")
)]
impl Output {
    fn begin(&mut self, limit: usize) {
        if self.buffer.len() < limit {
            self.buffer.resize(limit, 0);
        }
        self.used = 0;
        self.limit = limit;
    }

    /// What is left of it.
    fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.used..self.limit]
    }

    fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.limit - self.used, "no more than the room");
        self.used += n;
    }

    #[cfg(any(feature = "snappy", feature = "lz4"))]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let room = self.room().get_mut(..bytes.len()).ok_or(Full)?;
        room.copy_from_slice(bytes);
        self.advance(bytes.len());
        Ok(())
    }
}

/// Compresses batches one after the other.
///
/// It keeps its context and an output buffer as large as the largest batch so far: after that no batch allocates (zstd's C
/// library may still trade its own memory for less).
pub struct Compressor {
    codec: Codec,
    encoder: Box<dyn Encode>,
    out: Output,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl Compressor {
    /// A compressor that will need no larger output buffer for batches of up to `largest` bytes.
    ///
    /// # Errors
    /// The codec is not in this build.
    #[cfg_attr(
        not(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")),
        allow(unused_variables, unreachable_code, reason = "no codec is built in")
    )]
    pub fn new(compression: Compression, largest: usize) -> Result<Self, NotBuiltIn> {
        let encoder: Box<dyn Encode> = match compression.codec {
            #[cfg(feature = "gzip")]
            Codec::Gzip => Box::new(gzip::Gzip::new(compression.level)),
            #[cfg(feature = "snappy")]
            Codec::Snappy => Box::new(snappy::Snappy::new()),
            #[cfg(feature = "lz4")]
            Codec::Lz4 => Box::new(lz4::Lz4::new(compression.level)),
            #[cfg(feature = "zstd")]
            Codec::Zstd => Box::new(zstd::Zstd::new(compression.level)),
            #[allow(unreachable_patterns, reason = "reachable where a codec is left out")]
            codec => return Err(NotBuiltIn(codec)),
        };
        // Zeroed pages that nobody has written cost address space and no memory.
        let out = Output { buffer: vec![0; largest], ..Output::default() };
        Ok(Self { codec: compression.codec, encoder, out })
    }

    /// The codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Compresses `slices`, `len` bytes together. `None` if the result would not be smaller than that.
    pub fn compress<'a>(&mut self, slices: impl IntoIterator<Item = &'a [u8]>, len: usize) -> Option<&[u8]> {
        self.out.begin(len.saturating_sub(1));
        let done = self.encoder.begin(len).and_then(|()| {
            slices.into_iter().try_for_each(|slice| self.encoder.push(slice, &mut self.out))?;
            self.encoder.finish(&mut self.out)
        });
        done.ok().and_then(|()| self.out.buffer.get(..self.out.used))
    }
}

/// Gathers slices into blocks of a fixed size, for the codecs whose formats consist of such.
#[cfg(any(feature = "snappy", feature = "lz4"))]
struct Blocks {
    buffer: Box<[u8]>,
    filled: usize,
}

#[cfg(any(feature = "snappy", feature = "lz4"))]
impl Blocks {
    fn new(size: usize) -> Self {
        Self { buffer: vec![0; size].into_boxed_slice(), filled: 0 }
    }

    /// Calls `each` with every block that becomes whole. Blocks that lie in `bytes` as a whole are not copied.
    fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Full>) -> Result<(), Full> {
        while !bytes.is_empty() {
            if self.filled == 0
                && let Some((block, rest)) = bytes.split_at_checked(self.buffer.len())
            {
                each(block)?;
                bytes = rest;
                continue;
            }
            let n = bytes.len().min(self.buffer.len() - self.filled);
            self.buffer[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
            self.filled += n;
            bytes = &bytes[n..];
            if self.filled == self.buffer.len() {
                self.filled = 0;
                each(&self.buffer)?;
            }
        }
        Ok(())
    }

    /// The last block, which may be short.
    fn rest(&mut self) -> Option<&[u8]> {
        let filled = std::mem::take(&mut self.filled);
        (filled > 0).then(|| &self.buffer[..filled])
    }
}
