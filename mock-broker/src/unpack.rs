//! Looking into compressed batches, with decoders that share nothing with the producer's encoders but the codecs' own
//! libraries.

use std::borrow::Cow;
use std::io::Read;

use crate::batch::Refusal;
use crate::error_code;

/// No batch may hold more than this once it is decompressed: a few bytes could ask for any amount otherwise.
const MOST: usize = 64 << 20;

/// snappy-java's stream header: magic, version, compatible version.
const XERIAL: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

fn corrupt() -> Refusal {
    Refusal::new(error_code::CORRUPT_MESSAGE, "the compressed records do not decompress")
}

/// The records of a batch whose attributes name this codec.
pub(crate) fn unpack(codec: i16, packed: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    match codec {
        0 => Ok(Cow::Borrowed(packed)),
        1 => read(flate2::read::GzDecoder::new(packed)),
        2 => snappy(packed).ok_or_else(corrupt),
        3 => read(lz4::Decoder::new(packed).map_err(|_| corrupt())?),
        4 => read(zstd::stream::read::Decoder::new(packed).map_err(|_| corrupt())?),
        _ => Err(Refusal::new(error_code::UNSUPPORTED_COMPRESSION_TYPE, "there is no such codec")),
    }
}

fn read(decoder: impl Read) -> Result<Cow<'static, [u8]>, Refusal> {
    let mut plain = Vec::new();
    decoder.take(MOST as u64 + 1).read_to_end(&mut plain).map_err(|_| corrupt())?;
    if plain.len() > MOST { Err(corrupt()) } else { Ok(plain.into()) }
}

/// Kafka takes both snappy-java's blocks and plain Snappy.
fn snappy(packed: &[u8]) -> Option<Cow<'static, [u8]>> {
    let mut plain = Vec::new();
    let mut decoder = snap::raw::Decoder::new();
    let Some(mut rest) = packed.strip_prefix(XERIAL) else {
        return block(&mut decoder, packed, &mut plain).map(|()| plain.into());
    };
    while let Some((size, behind)) = rest.split_first_chunk::<4>() {
        let (packed, behind) = behind.split_at_checked(u32::from_be_bytes(*size) as usize)?;
        block(&mut decoder, packed, &mut plain)?;
        rest = behind;
    }
    rest.is_empty().then(|| plain.into())
}

fn block(decoder: &mut snap::raw::Decoder, packed: &[u8], plain: &mut Vec<u8>) -> Option<()> {
    let at = plain.len();
    // Snappy makes at most some twenty bytes of one: a stated size beyond that is a lie that costs nothing.
    let size = snap::raw::decompress_len(packed).ok().filter(|size| size / 64 <= packed.len() && at + size <= MOST)?;
    plain.resize(at + size, 0);
    decoder.decompress(packed, plain.get_mut(at..)?).ok().map(drop)
}
