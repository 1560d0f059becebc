//! Records, walked batches and batch headers, read back by an independent decoder (kafka-protocol's).

use bytes::{BufMut, Bytes, BytesMut};
use forebay_io::wire::batch::{BATCH_HEADER_LEN, BatchHeader, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE};
use forebay_io::wire::crc::crc32c;
use forebay_io::wire::record::{
    HEAD_MAX, MAX_RECORDS, RecordHeader, Shape, encode, encode_prefix, encode_suffix, encode_to,
};
use forebay_io::wire::walk::Walker;
use kafka_protocol::records::{Record, RecordBatchDecoder};
use proptest::prelude::*;

const BASE: i64 = 1_700_000_000_000;

#[derive(Clone, Debug, Default)]
struct Sample {
    ts_delta: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Sample {
    fn headers(&self) -> Vec<RecordHeader<'_>> {
        self.headers.iter().map(|(key, value)| RecordHeader { key, value: value.as_deref() }).collect()
    }

    fn shape(&self) -> Shape {
        let (key, value) = (self.key.as_ref().map(Vec::len), self.value.as_ref().map(Vec::len));
        Shape::measure(self.ts_delta, key, value, &self.headers()).expect("fits")
    }

    fn encoded(&self) -> Vec<u8> {
        let shape = self.shape();
        let mut out = vec![0xEE; shape.total_len];
        encode(&shape, self.ts_delta, self.key.as_deref(), self.value.as_deref(), &self.headers(), &mut out);
        out
    }

    fn assert_read_as(&self, record: &Record, offset: i64) {
        assert_eq!((record.offset, record.timestamp), (offset, BASE + self.ts_delta));
        assert_eq!(record.key.as_deref(), self.key.as_deref(), "key of {offset}");
        assert_eq!(record.value.as_deref(), self.value.as_deref(), "value of {offset}");
        // The decoder keeps headers in a map: of several with one name it shows the last.
        for (name, value) in &self.headers {
            let last = self.headers.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_deref());
            let read = record.headers.iter().find(|(n, _)| n.as_str() == name).map(|(_, v)| v.as_deref());
            assert_eq!(read, last, "header {name} = {value:?}");
        }
    }
}

fn record(key: Option<&[u8]>, value: Option<&[u8]>) -> Sample {
    Sample { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec), ..Sample::default() }
}

/// Stamps the samples as one batch and returns header and records.
fn batch(samples: &[Sample]) -> (BatchHeader, Vec<u8>) {
    let mut records: Vec<u8> = samples.iter().flat_map(Sample::encoded).collect();
    let mut walker = Walker::new(MAX_RECORDS, usize::MAX);
    assert_eq!(walker.walk(&mut records), records.len());
    assert!(!walker.poisoned());
    assert_eq!((walker.count() as usize, walker.bytes(), walker.pending()), (samples.len(), records.len(), 0));
    let header = BatchHeader {
        records_len: records.len(),
        count: walker.count(),
        base_timestamp: BASE,
        max_timestamp: BASE + walker.max_ts_delta(),
        producer_id: 77,
        producer_epoch: 3,
        base_sequence: 1000,
        attributes: 0,
        records_crc: walker.crc(),
    };
    (header, records)
}

fn decode(header: &BatchHeader, records: &[u8]) -> Vec<Record> {
    let mut buf = BytesMut::new();
    buf.put_slice(&header.encode());
    buf.put_slice(records);
    let mut bytes: Bytes = buf.freeze();
    // The decoder checks the CRC itself.
    RecordBatchDecoder::decode(&mut bytes).expect("a sound batch").records
}

fn round_trip(samples: &[Sample]) {
    let (header, records) = batch(samples);
    let read = decode(&header, &records);
    assert_eq!(read.len(), samples.len());
    for (i, (sample, record)) in samples.iter().zip(&read).enumerate() {
        sample.assert_read_as(record, i as i64);
        assert_eq!((record.producer_id, record.producer_epoch), (77, 3));
    }
}

#[test]
fn an_empty_key_is_not_no_key_and_so_with_values() {
    round_trip(&[
        record(None, None),
        record(Some(b""), None),
        record(None, Some(b"")),
        record(Some(b""), Some(b"")),
        record(Some(b"k"), Some(b"v")),
    ]);
}

#[test]
fn the_smallest_record_has_seven_bytes_and_one_of_padding() {
    // length 7, attributes, delta 0, offset 0 in two bytes, key null, value null, no headers
    assert_eq!(record(None, None).encoded(), [14, 0, 0, 0x80, 0, 1, 1, 0]);
}

#[test]
fn a_stamped_offset_delta_keeps_its_width_to_the_last_record() {
    let (header, records) = batch(&vec![record(None, None); MAX_RECORDS as usize]);
    assert_eq!(&records[5 * 8..6 * 8], &[14, 0, 0, 0x8a, 0, 1, 1, 0], "5 is zigzag 10, padded");
    assert_eq!(&records[8191 * 8..], &[14, 0, 0, 0xfe, 0x7f, 1, 1, 0], "8191 is zigzag 16382");
    let offsets: Vec<i64> = decode(&header, &records).iter().map(|r| r.offset).collect();
    assert_eq!(offsets, (0..8192).collect::<Vec<i64>>());
}

#[test]
fn large_keys_and_values_and_every_length_border_survive() {
    round_trip(&[
        record(Some(&vec![b'k'; 100_000]), Some(&vec![b'v'; 1 << 20])),
        record(Some(&vec![b'k'; 3 << 20]), Some(b"v")),
    ]);
    let lens = [0, 1, 2, 3, 7, 8, 9, 15, 16, 31, 32, 47, 62, 63, 64, 65, 127, 128, 129, 8_170, 8_191, 8_192, 8_193];
    for extra in [0usize, 5, 64, 200, 7_900] {
        let samples: Vec<Sample> =
            lens.iter().map(|&n| record(Some(&vec![b'k'; extra]), Some(&vec![b'v'; n]))).collect();
        round_trip(&samples);
        let swapped: Vec<Sample> = samples.into_iter().map(|s| Sample { key: s.value, value: s.key, ..s }).collect();
        round_trip(&swapped);
    }
}

#[test]
fn timestamps_before_the_base_and_far_after_it_survive() {
    let deltas = [0, -1, 1, 63, 64, -64, -65, 8191, 8192, -8192, 1 << 27, -(1 << 27), 1 << 40, -BASE, i64::MAX - BASE];
    let samples: Vec<Sample> =
        deltas.iter().map(|&ts_delta| Sample { ts_delta, ..record(None, Some(b"0123456789")) }).collect();
    round_trip(&samples);
    let (header, _) = batch(&samples);
    assert_eq!(header.max_timestamp, i64::MAX);
    let (header, _) =
        batch(&[Sample { ts_delta: -5, ..Sample::default() }, Sample { ts_delta: -7, ..Sample::default() }]);
    assert_eq!(header.max_timestamp, BASE - 5, "the largest of negative ones is not 0");
}

#[test]
fn headers_with_null_and_empty_values_survive() {
    let headers = vec![
        ("trace".to_owned(), Some(b"abc".to_vec())),
        ("none".to_owned(), None),
        (String::new(), Some(Vec::new())),
        ("größe".to_owned(), Some(vec![0; 300])),
    ];
    round_trip(&[Sample { headers, ..record(Some(b"k"), Some(b"v")) }, record(None, Some(b"next"))]);
    let many = (0..200).map(|i| (format!("h{i}"), Some(vec![i as u8]))).collect();
    round_trip(&[Sample { headers: many, ..Sample::default() }]);
}

#[test]
fn what_the_protocol_cannot_express_is_not_measured() {
    let max = i32::MAX as usize;
    for (key, value) in
        [(Some(max), None), (None, Some(max)), (Some(max / 2 + 1), Some(max / 2)), (Some(usize::MAX), Some(usize::MAX))]
    {
        assert_eq!(Shape::measure(0, key, value, &[]), None, "{key:?} {value:?}");
    }
    let largest = Shape::measure(0, None, Some(max - 20), &[]).expect("fits");
    assert!(largest.total_len <= max);
}

#[test]
fn the_golden_bytes_of_a_batch() {
    let mut samples = vec![Sample { ts_delta: 3, ..record(Some(b"k"), Some(b"v")) }, record(None, None)];
    samples[0].headers.push(("h".to_owned(), None));
    let (header, records) = batch(&samples);
    let header = BatchHeader { base_sequence: 0x0102_0304, attributes: 0x10, ..header };
    assert_eq!(records, [24, 0, 6, 0x80, 0, 2, b'k', 2, b'v', 2, 2, b'h', 1, 14, 0, 0, 0x82, 0, 1, 1, 0][..]);
    let crc = crc32c(&[&header.encode()[21..], &records].concat()).to_be_bytes();
    let golden: Vec<u8> = [
        &[0; 8][..],                // base offset
        &70i32.to_be_bytes(),       // batch length: 61 − 12 + 21
        &[0xff; 4],                 // partition leader epoch
        &[2],                       // magic
        &crc,                       // over all that follows
        &[0, 0x10],                 // attributes
        &[0, 0, 0, 1],              // last offset delta
        &BASE.to_be_bytes(),        // base timestamp
        &(BASE + 3).to_be_bytes(),  // max timestamp
        &[0, 0, 0, 0, 0, 0, 0, 77], // producer id
        &[0, 3],                    // producer epoch
        &[1, 2, 3, 4],              // base sequence
        &[0, 0, 0, 2],              // record count
    ]
    .concat();
    assert_eq!(header.encode(), golden[..]);
}

#[test]
fn the_header_checksum_is_that_of_the_bytes_whatever_changes_in_it() {
    let (header, records) = batch(&[record(Some(b"key"), Some(&[9; 5000])), record(None, Some(b"x"))]);
    let bumped = BatchHeader { producer_epoch: 4, base_sequence: 0, ..header };
    let plain = BatchHeader {
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        base_sequence: NO_SEQUENCE,
        ..header
    };
    for header in [header, bumped, plain] {
        let bytes = [&header.encode()[..], &records].concat();
        assert_eq!(bytes[17..21], crc32c(&bytes[21..]).to_be_bytes());
        assert_eq!(bytes[8..12], (bytes.len() as i32 - 12).to_be_bytes());
        assert_eq!(bytes.len(), BATCH_HEADER_LEN + header.records_len);
    }
}

#[test]
fn a_walker_stops_at_the_record_that_would_pass_a_limit() {
    let one = record(None, Some(&[1; 92])).encoded();
    assert_eq!(one.len(), 102);
    let mut bytes = one.repeat(10);
    let mut walker = Walker::new(3, usize::MAX);
    assert_eq!((walker.walk(&mut bytes), walker.count()), (306, 3));
    assert_eq!(walker.walk(&mut bytes[306..]), 0, "full stays full");
    let mut walker = Walker::new(MAX_RECORDS, 102 * 4 + 101);
    assert_eq!((walker.walk(&mut bytes), walker.count(), walker.bytes()), (408, 4, 408));
    let mut walker = Walker::new(MAX_RECORDS, 50);
    assert_eq!(walker.walk(&mut bytes), 102, "the first record goes in whatever its size");
    assert!(!walker.poisoned());
    let mut bytes = record(None, None).encoded().repeat(MAX_RECORDS as usize + 1);
    let mut walker = Walker::new(u32::MAX, usize::MAX);
    assert_eq!(walker.walk(&mut bytes), 8 * MAX_RECORDS as usize, "two bytes number no more");
}

#[test]
fn a_record_that_goes_on_in_the_next_slices_is_accepted_whole() {
    let mut bytes = record(None, Some(&[7; 10_000])).encoded();
    let len = bytes.len();
    let mut walker = Walker::new(MAX_RECORDS, 100);
    assert_eq!(walker.walk(&mut bytes[..4096]), 4096);
    assert_eq!((walker.count(), walker.bytes(), walker.pending()), (1, len, len - 4096));
    assert_eq!(walker.walk(&mut bytes[4096..8192]), 4096, "though the batch is over its limit");
    assert_eq!(walker.walk(&mut bytes[8192..]), len - 8192);
    assert_eq!((walker.pending(), walker.crc()), (0, crc32c(&bytes)));
}

#[test]
fn walking_again_stamps_again() {
    // a batch of four, split into two of two
    let (_, mut records) = batch(&vec![record(Some(b"key"), Some(&[1; 30])); 4]);
    let half = records.len() / 2;
    let expected = records[..half].to_vec();
    let mut walker = Walker::new(MAX_RECORDS, usize::MAX);
    walker.walk(&mut records[half..]);
    assert_eq!(&records[half..], expected, "the second half numbered from 0");
    assert_eq!(walker.crc(), crc32c(&expected));
}

#[test]
fn a_record_that_looks_like_the_one_before_is_not_taken_for_it() {
    let at = |ts_delta, len: usize| Sample { ts_delta, ..record(None, Some(&vec![7; len])) };
    // Lengths of one byte and two that share their first, moments that share their first byte, and both ways to read a head.
    for other in [at(5, 10), at(5, 12), at(5, 74), at(5, 202), at(6, 11), at(5 + 64, 11), at(-6, 11), at(9000, 11)] {
        for usual in [at(5, 11), at(5, 75), at(70, 11)] {
            let row = [&usual, &usual, &other, &usual, &other, &other, &usual, &usual, &usual, &other];
            let samples: Vec<Sample> = row.into_iter().cloned().collect();
            round_trip(&samples);
            let latest = samples.iter().map(|sample| sample.ts_delta).max();
            let mut bytes: Vec<u8> = samples.iter().flat_map(Sample::encoded).collect();
            let mut walker = Walker::new(MAX_RECORDS, usize::MAX);
            assert_eq!((walker.walk(&mut bytes), walker.count()), (bytes.len(), 10));
            assert_eq!(Some(walker.max_ts_delta()), latest);
        }
    }
}

#[test]
fn after_records_of_many_sizes_those_of_one_size_are_read_as_well() {
    let sizes = (0..60).chain([30; 200]).chain(0..60).chain([30; 3]).chain([31; 3]);
    round_trip(&sizes.map(|len| record(None, Some(&vec![1; len]))).collect::<Vec<_>>());
}

#[test]
fn bytes_that_are_no_record_poison_the_walker() {
    let good = record(None, Some(b"0123456789")).encoded();
    let alike = good.repeat(3);
    for (name, at, byte) in [
        ("odd length, negative", 0, good[0] | 1),
        ("too short for what it holds", 0, 12),
        ("attributes", 1, 1),
        ("offset delta of one byte", 3, 0),
        ("offset delta of three bytes", 4, 0x80),
    ] {
        let mut bytes = [&good[..], &good].concat();
        bytes[good.len() + at] = byte;
        let mut walker = Walker::new(MAX_RECORDS, usize::MAX);
        assert_eq!(walker.walk(&mut bytes), good.len(), "{name}");
        assert!(walker.poisoned(), "{name}");
        assert_eq!((walker.count(), walker.crc()), (1, crc32c(&good)), "what came before is sound: {name}");

        let mut bytes = alike.clone();
        bytes[2 * good.len() + at] = byte;
        let mut walker = Walker::new(MAX_RECORDS, usize::MAX);
        assert_eq!(walker.walk(&mut bytes), 2 * good.len(), "behind two that are alike: {name}");
        assert!(walker.poisoned(), "{name}");
        assert_eq!(walker.walk(&mut good.clone()), 0, "nor anything behind it: {name}");
    }
    for cut in 1..5 {
        let mut walker = Walker::new(MAX_RECORDS, usize::MAX);
        assert_eq!(walker.walk(&mut good.clone()[..cut]), 0);
        assert!(walker.poisoned(), "a head cut after {cut} bytes");
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let ts = prop_oneof![4 => 0i64..8192, 1 => -70_000i64..70_000, 1 => -BASE..(1 << 50)];
    let bytes = || {
        prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..140),
            1 => proptest::collection::vec(any::<u8>(), 0..9000),
        ]
    };
    let header = (".{0,12}", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)));
    let headers = prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(header, 0..4)];
    (ts, proptest::option::of(bytes()), proptest::option::of(bytes()), headers)
        .prop_map(|(ts_delta, key, value, headers)| Sample { ts_delta, key, value, headers })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_way_to_encode_writes_the_same(sample in sample()) {
        let whole = sample.encoded();
        let shape = sample.shape();
        let (key, value, headers) = (sample.key.as_deref(), sample.value.as_deref(), sample.headers());

        let mut pieces = Vec::new();
        let mut head = None;
        encode_to(&shape, sample.ts_delta, key, value, &headers, &mut |piece: &[u8]| {
            head.get_or_insert(piece.len());
            pieces.extend_from_slice(piece);
        });
        prop_assert_eq!(&pieces, &whole);
        let head = head.expect("at least one piece");
        prop_assert!(head <= HEAD_MAX);
        prop_assert_eq!(&whole[head - 2..head], &[0x80, 0], "the first piece ends with the offset delta");

        let value_len = value.map(<[u8]>::len);
        let mut parts = vec![0xEE; shape.total_len];
        let at = encode_prefix(&shape, sample.ts_delta, key, value_len, &mut parts);
        prop_assert_eq!(at, shape.prefix_len);
        let suffix_at = at + value_len.unwrap_or(0);
        parts[at..suffix_at].copy_from_slice(value.unwrap_or_default());
        let n = encode_suffix(&headers, &mut parts[suffix_at..]);
        prop_assert_eq!(n, shape.suffix_len(value_len));
        prop_assert_eq!(&parts, &whole);
    }

    #[test]
    fn any_batch_reads_back(samples in proptest::collection::vec(sample(), 1..20)) {
        round_trip(&samples);
    }

    #[test]
    fn how_the_bytes_are_sliced_makes_no_difference(
        samples in proptest::collection::vec(sample(), 1..20),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
        max_records in 1u32..25,
        max_bytes in 0usize..40_000,
    ) {
        let whole: Vec<u8> = samples.iter().flat_map(Sample::encoded).collect();
        let mut contiguous = whole.clone();
        let mut one = Walker::new(max_records, max_bytes);
        let taken = one.walk(&mut contiguous);

        // Cuts anywhere but inside a head.
        let mut forbidden = vec![false; whole.len() + 1];
        let mut at = 0;
        for s in &samples {
            let (mut first, shape) = (0, s.shape());
            encode_to(&shape, s.ts_delta, s.key.as_deref(), s.value.as_deref(), &s.headers(), &mut |p: &[u8]| {
                if first == 0 { first = p.len(); }
            });
            forbidden[at + 1..at + first].fill(true);
            at += shape.total_len;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(whole.len() + 1)).filter(|&i| !forbidden[i]).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();

        let mut sliced = whole.clone();
        let mut many = Walker::new(max_records, max_bytes);
        let mut total = 0;
        for pair in cuts.windows(2) {
            let n = many.walk(&mut sliced[pair[0]..pair[1]]);
            total += n;
            if n < pair[1] - pair[0] { break; }
        }
        prop_assert_eq!(total, taken);
        prop_assert_eq!(&sliced[..total], &contiguous[..taken]);
        prop_assert_eq!(&sliced[total..], &whole[taken..], "what is not accepted is not touched");
        prop_assert_eq!(many.crc(), crc32c(&contiguous[..taken]));
        prop_assert_eq!((many.count(), many.bytes(), many.max_ts_delta()), (one.count(), one.bytes(), one.max_ts_delta()));
        prop_assert_eq!((one.crc(), one.pending(), many.pending()), (many.crc(), 0, 0));
    }

    #[test]
    fn no_bytes_make_a_walker_panic(
        mut bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(0x80), Just(14), Just(0xff), any::<u8>()], 0..400),
        cut in any::<prop::sample::Index>(),
        max_bytes in prop_oneof![Just(0), Just(usize::MAX), 0usize..500],
    ) {
        let cut = cut.index(bytes.len() + 1);
        let mut walker = Walker::new(MAX_RECORDS, max_bytes);
        let (a, b) = bytes.split_at_mut(cut);
        let n = walker.walk(a);
        prop_assert!(n <= a.len());
        let m = if n == a.len() { walker.walk(b) } else { 0 };
        prop_assert!(m <= b.len());
        prop_assert_eq!(walker.crc(), crc32c(&[&a[..n], &b[..m]].concat()));
    }
}
