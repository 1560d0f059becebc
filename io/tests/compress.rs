//! What the compressor writes, decoders that know nothing of it read.

use bytes::Bytes;
use forebay_io::compress::{Codec, Compression, Compressor};
use kafka_protocol::compression::{Decompressor, Gzip, Lz4, Snappy, Zstd};
use proptest::prelude::*;

const CODECS: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const LARGEST: usize = 300_000;

fn compressor(codec: Codec) -> Compressor {
    Compressor::new(Compression::with_default_level(codec), LARGEST).expect("built in")
}

/// By the kafka-protocol crate.
fn decompress(codec: Codec, packed: &[u8]) -> Vec<u8> {
    let mut packed = Bytes::copy_from_slice(packed);
    let copy = |plain: &mut Bytes| Ok(plain.to_vec());
    match codec {
        Codec::Gzip => Gzip::decompress(&mut packed, copy),
        Codec::Snappy => Snappy::decompress(&mut packed, |plain: &mut Bytes| Ok(plain.to_vec())),
        Codec::Lz4 => Lz4::decompress(&mut packed, copy),
        Codec::Zstd => Zstd::decompress(&mut packed, copy),
    }
    .unwrap_or_else(|error| panic!("{codec:?}: {error:#}"))
}

/// Bytes between noise and one letter, in slices as they lie in a slab.
fn slices() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let slice = (1_usize..9_000, 1_u16..=256, any::<u64>()).prop_map(|(len, letters, seed)| {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..len).map(|_| random.u16(..letters) as u8).collect::<Vec<u8>>()
    });
    prop::collection::vec(slice, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_codec_gives_back_what_it_was_given_batch_after_batch(batches in prop::collection::vec(slices(), 1..4)) {
        for codec in CODECS {
            let mut compressor = compressor(codec);
            for slices in &batches {
                let plain = slices.concat();
                let packed = compressor.compress(slices.iter().map(Vec::as_slice), plain.len());
                if let Some(packed) = packed {
                    prop_assert!(packed.len() < plain.len());
                    prop_assert_eq!(decompress(codec, packed), plain);
                }
            }
        }
    }
}

#[test]
fn what_repeats_shrinks_and_noise_is_left_alone() {
    let text = b"the same line again and again\n".repeat(10_000);
    let mut random = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = (0..200_000).map(|_| random.u8(..)).collect();
    for codec in CODECS {
        let mut compressor = compressor(codec);
        for _ in 0..3 {
            assert_eq!(compressor.compress([&noise[..]], noise.len()), None, "{codec:?}");
            let packed = compressor.compress(text.chunks(4_096), text.len()).expect("shrinks").to_vec();
            assert!(packed.len() * 5 < text.len(), "{codec:?}: {} bytes", packed.len());
            assert_eq!(decompress(codec, &packed), text, "{codec:?}");
            assert_eq!(compressor.compress([&b"x"[..]], 1), None, "{codec:?}");
        }
    }
}

#[test]
fn levels_go_the_way_they_say() {
    let mut random = fastrand::Rng::with_seed(3);
    let words: Vec<Vec<u8>> = (0..500).map(|_| (0..9).map(|_| random.alphanumeric() as u8).collect()).collect();
    let text: Vec<u8> = (0..20_000).flat_map(|_| words[random.usize(..words.len())].clone()).collect();
    for (codec, quick, thorough) in [(Codec::Gzip, 1, 9), (Codec::Lz4, 9, 12), (Codec::Zstd, -5, 12)] {
        let size = |level| {
            let mut compressor = Compressor::new(Compression { codec, level }, LARGEST).expect("built in");
            let packed = compressor.compress([&text[..]], text.len()).expect("shrinks").to_vec();
            assert_eq!(decompress(codec, &packed), text, "{codec:?} at {level}");
            packed.len()
        };
        assert!(size(thorough) < size(quick), "{codec:?}");
    }
}

#[test]
fn a_larger_batch_than_was_foreseen_is_compressed_all_the_same() {
    let text = vec![b'z'; LARGEST * 4];
    for codec in CODECS {
        let packed = compressor(codec).compress([&text[..]], text.len()).expect("shrinks").to_vec();
        assert_eq!(decompress(codec, &packed), text, "{codec:?}");
    }
}

#[test]
fn kafkas_own_framings_are_met_to_the_byte() {
    let head = |codec| compressor(codec).compress([&vec![b'a'; 70_000][..]], 70_000).expect("shrinks")[..16].to_vec();
    assert_eq!(head(Codec::Snappy), b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    // Magic, version 1 with independent blocks, 64 KiB, and the check byte that Kafka's own producer writes.
    assert_eq!(head(Codec::Lz4)[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    assert_eq!(head(Codec::Gzip)[..3], [0x1f, 0x8b, 8]);
    // A single segment whose size is stated: consumers need no more memory than the batch takes.
    let zstd = head(Codec::Zstd);
    assert_eq!((&zstd[..4], zstd[4] & 0x20), (&[0x28, 0xb5, 0x2f, 0xfd][..], 0x20));
}
