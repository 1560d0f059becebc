//! A whole turn of the I/O core on a memory pipe: cut, stamped, summed, framed, written, answered, reported and freed.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::pipe::{Pipe, RECORDS, VALUE};
use std::hint::black_box;

fn turn(c: &mut Criterion) {
    let mut group = c.benchmark_group("core/turn");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for partitions in [1, 16] {
        let mut pipe = Pipe::new(partitions);
        group.bench_function(BenchmarkId::new("publish_send_answer_report", partitions), |b| {
            b.iter(|| {
                pipe.publish();
                let before = pipe.delivered();
                let written = pipe.turn();
                assert_eq!(pipe.delivered() - before, RECORDS as u64, "all of it in one turn");
                written
            });
        });
        group.bench_function(BenchmarkId::new("nothing_to_do", partitions), |b| b.iter(|| pipe.turn()));
    }
    // A turn's cost follows the active lanes: the same as with 16 partitions and no other.
    let mut pipe = Pipe::among(16, 10_000 - 16);
    group.bench_function(BenchmarkId::new("publish_send_answer_report", "16_of_10000"), |b| {
        b.iter(|| {
            pipe.publish();
            pipe.turn()
        });
    });
    group.bench_function(BenchmarkId::new("nothing_to_do", "16_of_10000"), |b| b.iter(|| pipe.turn()));
    group.bench_function("empty_loop", |b| {
        let mut wire = Vec::with_capacity(64 * 1024);
        b.iter(|| {
            wire.clear();
            for _ in 0..RECORDS {
                wire.extend_from_slice(black_box(&VALUE));
            }
            black_box(&mut wire);
        });
    });
    group.finish();
}

criterion_group!(benches, turn);
criterion_main!(benches);
