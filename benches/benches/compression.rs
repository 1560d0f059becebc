//! What a codec costs the thread that compresses: one batch, as it lies in the slab (slices of 4 KiB), of lines of JSON as a
//! service logs them, and of random bytes, which do not shrink.
//!
//! `cargo bench --bench compression`. Throughput is of plain bytes; the ratios are printed first.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::text::{json, noise};
use forebay_io::compress::{Codec, Compression, Compressor};

const SEGMENT: usize = 4_096;
const SIZES: [(&str, usize); 2] = [("16KiB", 16 << 10), ("1MB", 1_000_000)];
/// Kafka's defaults, and one quicker or more thorough where that is worth a look.
const SETTINGS: [(&str, Codec, i32); 8] = [
    ("gzip-1", Codec::Gzip, 1),
    ("gzip", Codec::Gzip, -1),
    ("snappy", Codec::Snappy, 0),
    ("lz4", Codec::Lz4, 9),
    ("lz4-12", Codec::Lz4, 12),
    ("zstd-1", Codec::Zstd, 1),
    ("zstd", Codec::Zstd, 3),
    ("zstd-9", Codec::Zstd, 9),
];

fn codecs(criterion: &mut Criterion) {
    for (size, len) in SIZES {
        for (what, bytes) in [("json", json(len)), ("random", noise(len))] {
            let mut group = criterion.benchmark_group(format!("compress/{what}/{size}"));
            group.throughput(Throughput::Bytes(len as u64)).sample_size(10);
            for (name, codec, level) in SETTINGS {
                let mut compressor = Compressor::new(Compression { codec, level }, len).expect("built in");
                let packed = compressor.compress(bytes.chunks(SEGMENT), len).map(<[u8]>::len);
                assert!(packed.is_some() == (what == "json"), "{name}: text shrinks, and random bytes do not");
                eprintln!("{name} {what} {size}: {:.3} of it is left", packed.unwrap_or(len) as f64 / len as f64);
                group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                    bencher.iter(|| compressor.compress(black_box(bytes.chunks(SEGMENT)), len).map(<[u8]>::len));
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, codecs);
criterion_main!(benches);
