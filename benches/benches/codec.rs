//! The wire codec on its own: a record encoded, a batch's records walked and summed, a batch header.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::{MIXED, slice_of};
use forebay_io::wire::batch::{BATCH_HEADER_LEN, BatchHeader, NO_SEQUENCE};
use forebay_io::wire::crc::crc32c;
use forebay_io::wire::record::{RecordHeader, Shape, encode};
use forebay_io::wire::walk::Walker;
use std::hint::black_box;

const KEY: &[u8] = b"customer-4711";

fn measured(value: &[u8], headers: &[RecordHeader<'_>]) -> Shape {
    Shape::measure(5, Some(KEY.len()), Some(value.len()), headers).expect("a small record")
}

fn encoded(value: &[u8], headers: &[RecordHeader<'_>]) -> Vec<u8> {
    let shape = measured(value, headers);
    let mut out = vec![0; shape.total_len];
    encode(&shape, 5, Some(KEY), Some(value), headers, &mut out);
    out
}

/// Golden bytes, written out by hand from the record format.
fn check() {
    let golden = b"\x32\x00\x0a\x80\x00\x1acustomer-4711\x06abc\x00";
    let mut expected = golden.to_vec();
    expected[0] = ((golden.len() - 1) * 2) as u8;
    assert_eq!(encoded(b"abc", &[]), expected);
    let mut two = expected.repeat(2);
    let mut walker = Walker::new(100, 10_000);
    assert_eq!(walker.walk(&mut two), expected.len() * 2);
    assert_eq!((walker.count(), walker.max_ts_delta()), (2, 5));
    assert_eq!(two[3], 0x80, "the first record has offset delta 0");
    assert_eq!(two[expected.len() + 3], 0x82, "the second 1");
    assert_eq!(walker.crc(), crc32c(&two));
}

fn record(c: &mut Criterion) {
    check();
    let mut group = c.benchmark_group("codec/record");
    let headers = [RecordHeader { key: "trace", value: Some(b"0af7651916cd43dd") }];
    for size in [16, 100, 1024] {
        let value = vec![7u8; size];
        let mut out = vec![0; encoded(&value, &headers).len()];
        group.throughput(Throughput::Bytes(size as u64));
        for (name, headers) in [("measure_encode", &headers[..0]), ("measure_encode_one_header", &headers[..])] {
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| {
                    let value = black_box(&value[..]);
                    let shape = measured(value, black_box(headers));
                    encode(&shape, black_box(5), Some(KEY), Some(value), headers, &mut out[..shape.total_len]);
                    black_box(&mut out);
                });
            });
        }
        group.bench_function(BenchmarkId::new("empty_loop", size), |b| {
            b.iter(|| {
                out[..size].copy_from_slice(black_box(&value));
                black_box(&mut out);
            });
        });
    }
    group.finish();
}

/// A batch of 16 KiB, which lies in segments of 4 KiB: of records of one size, and of records of which each has another size than
/// the one before.
fn walk(c: &mut Criterion) {
    const BATCH: usize = 16 * 1024;
    let mut group = c.benchmark_group("codec/walk_16_kib");
    group.throughput(Throughput::Bytes(BATCH as u64));
    for (name, sizes) in [("16", &[16][..]), ("100", &[100]), ("1024", &[1024]), ("mixed", &MIXED)] {
        let (mut slice, per_slice) = slice_of(sizes, |size| encoded(&vec![7u8; size], &[]));
        group.bench_function(BenchmarkId::new("walk_stamp_crc", name), |b| {
            b.iter(|| {
                let mut walker = Walker::new(8192, BATCH);
                for _ in 0..4 {
                    assert_eq!(walker.walk(black_box(&mut slice)), slice.len());
                }
                assert_eq!(walker.count() as usize, 4 * per_slice);
                walker.crc()
            });
        });
        group.bench_function(BenchmarkId::new("crc_alone", name), |b| {
            b.iter(|| {
                for _ in 0..4 {
                    black_box(crc32c(black_box(&slice)));
                }
            });
        });
        group.bench_function(BenchmarkId::new("empty_loop", name), |b| {
            b.iter(|| {
                for _ in 0..4 {
                    black_box(&mut slice);
                }
            });
        });
    }
    group.finish();
}

fn header(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec/batch_header");
    let records = encoded(b"abc", &[]);
    let header = BatchHeader {
        records_len: records.len(),
        count: 1,
        base_timestamp: 1_700_000_000_000,
        max_timestamp: 1_700_000_000_005,
        producer_id: 4711,
        producer_epoch: 0,
        base_sequence: NO_SEQUENCE,
        attributes: 0,
        records_crc: crc32c(&records),
    };
    let bytes = [&header.encode()[..], &records].concat();
    assert_eq!(bytes[17..21], crc32c(&bytes[21..]).to_be_bytes(), "the combined checksum is that of the whole");
    assert_eq!(bytes[8..12], (bytes.len() as i32 - 12).to_be_bytes());
    for records_len in [records.len(), 16 * 1024, 1 << 20] {
        let header = BatchHeader { records_len, ..header };
        group.bench_function(BenchmarkId::new("encode", records_len), |b| b.iter(|| black_box(&header).encode()));
    }
    group.bench_function("empty_loop", |b| {
        let bytes = [0u8; BATCH_HEADER_LEN];
        b.iter(|| *black_box(&bytes));
    });
    group.finish();
}

criterion_group!(benches, record, walk, header);
criterion_main!(benches);
