//! Back to plain records: what splitting a compressed batch needs.

use super::Codec;

/// Compressed bytes that do not give back what they were made of. They are our own, so this is a bug of ours, or the
/// codec is not in this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{codec:?} does not give back the {len} bytes that were compressed")]
pub struct UnpackError {
    /// The codec.
    pub codec: Codec,
    /// How many bytes were due.
    pub len: usize,
}

/// Decompresses `packed`, which must give exactly `len` bytes. Reserves that many, as this side once compressed them.
#[cfg_attr(
    not(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")),
    allow(unused_variables, unused_mut, reason = "no codec is built in")
)]
pub(crate) fn unpack(codec: Codec, packed: &[u8], len: usize) -> Result<Vec<u8>, UnpackError> {
    let mut plain = Vec::with_capacity(len);
    let done = match codec {
        #[cfg(feature = "gzip")]
        Codec::Gzip => {
            use std::io::Read as _;
            // One byte more than is due, so that too many are noticed.
            flate2::read::GzDecoder::new(packed).take(len as u64 + 1).read_to_end(&mut plain).is_ok()
        }
        #[cfg(feature = "snappy")]
        Codec::Snappy => snappy(packed, len, &mut plain).is_some(),
        #[cfg(feature = "lz4")]
        Codec::Lz4 => {
            use std::io::Read as _;
            let decoder = ::lz4::Decoder::new(packed);
            decoder.and_then(|decoder| decoder.take(len as u64 + 1).read_to_end(&mut plain)).is_ok()
        }
        #[cfg(feature = "zstd")]
        Codec::Zstd => zstd_safe::decompress(&mut plain, packed).is_ok(),
        #[allow(unreachable_patterns, reason = "reachable where a codec is left out")]
        _ => false,
    };
    if done && plain.len() == len { Ok(plain) } else { Err(UnpackError { codec, len }) }
}

#[cfg(feature = "snappy")]
fn snappy(packed: &[u8], len: usize, plain: &mut Vec<u8>) -> Option<()> {
    let mut rest = packed.strip_prefix(super::snappy::HEADER)?;
    let mut decoder = snap::raw::Decoder::new();
    while let Some((size, behind)) = rest.split_first_chunk::<4>() {
        let (block, behind) = behind.split_at_checked(u32::from_be_bytes(*size) as usize)?;
        let at = plain.len();
        let size = snap::raw::decompress_len(block).ok().filter(|size| *size <= len.saturating_sub(at))?;
        plain.resize(at + size, 0);
        decoder.decompress(block, plain.get_mut(at..)?).ok()?;
        rest = behind;
    }
    rest.is_empty().then_some(())
}
