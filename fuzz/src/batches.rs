//! Records on their whole way: into a lane, where they straddle its segments, out as batches, into a Produce request;
//! and read back by the kafka-protocol crate, which shares no code with ours.

use crate::input::Input;
use crate::records::{Described, describe};
use bytes::{Buf as _, Bytes};
use forebay_engine::{EngineConfig, IoSide, Lane, LaneId, Ring, Run};
use forebay_io::wire::batch::BatchHeader;
use forebay_io::wire::produce::{ProduceFraming, ProduceHead};
use forebay_io::wire::record::{HEAD_MAX, Shape, encode, encode_to};
use forebay_io::wire::walk::Walker;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::{ProduceRequest, RequestHeader};
use kafka_protocol::protocol::Decodable as _;
use kafka_protocol::records::{Compression, RecordBatchDecoder, TimestampType};
use std::sync::Arc;

const TOPIC: &str = "orders";
const TOPIC_ID: [u8; 16] = [7; 16];
const MEMORY: usize = 64 * 1024;

/// Nobody sleeps here.
struct Silent;

impl Ring for Silent {
    fn ring(&self) {}
}

/// What a batch is to say of itself.
struct Terms {
    version: i16,
    base_timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
}

/// A batch as it would be sent.
struct Batch {
    header: BatchHeader,
    runs: Vec<Run>,
}

/// Layout: version, size of a segment, most records of a batch, most bytes (2), base timestamp (8), producer id (8),
/// epoch (2), base sequence (4), then records as `records::describe` reads them.
pub fn round_trip(data: &[u8]) {
    let mut input = Input(data);
    let version = 3 + input.below(11) as i16;
    let segment_size = 64 << input.below(5);
    let max_records = 1 + u32::from(input.byte());
    let max_bytes = usize::from(input.word());
    let terms = Terms {
        version,
        base_timestamp: input.i64(),
        producer_id: input.i64(),
        producer_epoch: input.word() as i16,
        base_sequence: (i32::from(input.word()) << 16 | i32::from(input.word())) & i32::MAX,
    };
    let config = EngineConfig { memory: MEMORY, segment_size, due_bytes: 0, ahead_bytes: 0 };
    let (engine, mut io) = forebay_engine::new(config, Arc::new(Silent)).expect("a small slab");
    let end = engine.producer_end();
    let mut lane = end.lane(0).expect("open");
    lane.set_window(terms.base_timestamp);
    let mut records = Vec::new();
    while !input.is_empty() && records.len() < 200 {
        let mut record = describe(&mut input);
        if terms.base_timestamp.checked_add(record.ts_delta).is_none() {
            record.ts_delta = 0; // no timestamp is so far off
        }
        if !publish(&mut lane, &record) {
            break;
        }
        records.push(record);
    }
    let mut lanes = Vec::new();
    io.collect_ready(&mut lanes);
    let batches = cut(&mut io, &lanes, max_records, max_bytes, &terms);
    let request = frame(&io, &batches, &terms);
    check(request, &records, &batches, &terms);
    for run in batches.into_iter().flat_map(|batch| batch.runs) {
        io.release(run);
    }
    drop(lane);
    io.retire(&mut lanes, &mut Vec::new());
    io.settle();
    assert_eq!(io.free_segments(), io.total_segments(), "a segment is lost");
}

/// Encodes a record into a lane. False: there is no room for it.
fn publish(lane: &mut Lane, record: &Described<'_>) -> bool {
    let Described { ts_delta, key, value, headers } = record;
    let shape =
        Shape::measure(*ts_delta, key.map(<[u8]>::len), value.map(<[u8]>::len), headers).expect("a small record");
    let Ok(mut claim) = lane.claim(shape.total_len, HEAD_MAX.min(shape.total_len)) else { return false };
    // As a sender does: at one go where it is in one piece.
    let in_one_piece = claim.chunk().len() >= shape.total_len;
    if in_one_piece {
        encode(&shape, *ts_delta, *key, *value, headers, &mut claim.chunk()[..shape.total_len]);
        claim.advance(shape.total_len);
    } else {
        encode_to(&shape, *ts_delta, *key, *value, headers, &mut |piece| claim.put(piece));
    }
    assert_eq!(claim.remaining(), 0);
    claim.commit().expect("open");
    true
}

/// Takes everything that is published, batch by batch.
fn cut(io: &mut IoSide, lanes: &[LaneId], max_records: u32, max_bytes: usize, terms: &Terms) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut sequence = terms.base_sequence;
    for &lane in lanes {
        while let Some(batch) = cut_one(io, lane, max_records, max_bytes, terms, sequence) {
            sequence = (sequence.wrapping_add(batch.header.count as i32)) & i32::MAX;
            batches.push(batch);
        }
    }
    batches
}

fn cut_one(
    io: &mut IoSide,
    lane: LaneId,
    max_records: u32,
    max_bytes: usize,
    terms: &Terms,
    base_sequence: i32,
) -> Option<Batch> {
    io.observe(lane);
    io.peek_window(lane)?;
    io.observe(lane);
    let mut walker = Walker::new(max_records, max_bytes);
    let mut runs = Vec::new();
    let taken = io.take(lane, &mut runs, |slice| walker.walk(slice));
    assert!(taken > 0 && !walker.poisoned(), "what was encoded is not read");
    assert_eq!((taken, walker.pending()), (walker.bytes(), 0), "half a record is taken");
    assert!(walker.count() <= max_records && (walker.count() == 1 || taken <= max_bytes));
    let header = BatchHeader {
        records_len: taken,
        count: walker.count(),
        base_timestamp: terms.base_timestamp,
        max_timestamp: terms.base_timestamp.saturating_add(walker.max_ts_delta()),
        producer_id: terms.producer_id,
        producer_epoch: terms.producer_epoch,
        base_sequence,
        attributes: 0,
        records_crc: walker.crc(),
    };
    Some(Batch { header, runs })
}

/// The request's bytes as a socket would see them.
fn frame(io: &IoSide, batches: &[Batch], terms: &Terms) -> Vec<u8> {
    let head =
        ProduceHead { version: terms.version, correlation_id: 77, client_id: "fuzz", acks: -1, timeout_ms: 30_000 };
    let mut framing = Vec::new();
    let mut request = ProduceFraming::begin(&mut framing, &head, 1).expect("a version of ours");
    request.topic(TOPIC, TOPIC_ID, batches.len());
    let mut cuts = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        cuts.push(request.partition_with_header(index as i32, &batch.header));
        request.end_partition();
    }
    request.end_topic();
    let len = request.finish().expect("a small request");
    let mut wire = Vec::new();
    let mut from = 0;
    for (cut, batch) in cuts.into_iter().zip(batches) {
        wire.extend_from_slice(&framing[from..cut]);
        from = cut;
        io.merged(&batch.runs).for_each(|slice| wire.extend_from_slice(slice));
    }
    wire.extend_from_slice(&framing[from..]);
    assert_eq!(wire.len(), len, "the length that is told is not that of the bytes");
    wire
}

/// Reads the request as a broker would, and compares it with what was sent.
fn check(wire: Vec<u8>, expected: &[Described<'_>], batches: &[Batch], terms: &Terms) {
    let mut wire = Bytes::from(wire);
    assert_eq!(wire.get_u32() as usize, wire.len(), "the frame's size");
    let header = RequestHeader::decode(&mut wire, if terms.version >= 9 { 2 } else { 1 }).expect("a header");
    assert_eq!((header.correlation_id, header.request_api_version), (77, terms.version));
    let request = ProduceRequest::decode(&mut wire, terms.version).expect("a request");
    assert!(wire.is_empty(), "something follows the request");
    let [topic] = &request.topic_data[..] else { panic!("one topic") };
    if terms.version >= 13 {
        assert_eq!(topic.topic_id.as_bytes(), &TOPIC_ID);
    } else {
        assert_eq!(topic.name.as_str(), TOPIC);
    }
    assert_eq!(topic.partition_data.len(), batches.len());
    let mut expected = expected.iter();
    for ((index, partition), batch) in topic.partition_data.iter().enumerate().zip(batches) {
        assert_eq!(partition.index as usize, index);
        check_batch(partition.records.clone().expect("records"), &mut expected, batch, terms);
    }
    assert!(expected.next().is_none(), "a record is lost");
}

/// One batch: the decoder checks its length and checksum itself.
fn check_batch<'a>(
    mut bytes: Bytes,
    expected: &mut impl Iterator<Item = &'a Described<'a>>,
    batch: &Batch,
    terms: &Terms,
) {
    let last_delta = i32::from_be_bytes(bytes[23..27].try_into().expect("four bytes"));
    let max_timestamp = i64::from_be_bytes(bytes[35..43].try_into().expect("eight bytes"));
    let set = RecordBatchDecoder::decode(&mut bytes).expect("a batch");
    assert!(bytes.is_empty(), "something follows the batch");
    assert_eq!((set.version, set.compression), (2, Compression::None));
    assert_eq!((set.records.len(), last_delta + 1), (batch.header.count as usize, batch.header.count as i32));
    let newest = set.records.iter().map(|record| record.timestamp).max();
    assert_eq!(newest, Some(max_timestamp), "the largest timestamp");
    for (at, record) in set.records.into_iter().enumerate() {
        let described = expected.next().expect("a record that nobody sent");
        assert_eq!(record.offset, at as i64, "offset delta");
        assert_eq!(record.sequence, batch.header.base_sequence.wrapping_add(at as i32));
        assert_eq!((record.producer_id, record.producer_epoch), (terms.producer_id, terms.producer_epoch));
        assert_eq!(record.timestamp_type, TimestampType::Creation);
        assert_eq!(record.timestamp, terms.base_timestamp + described.ts_delta);
        assert_eq!(record.key.as_deref(), described.key);
        assert_eq!(record.value.as_deref(), described.value);
        // Theirs keeps one header of a name.
        let headers: IndexMap<_, _> = described.headers.iter().map(|header| (header.key, header.value)).collect();
        let theirs: IndexMap<_, _> =
            record.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        assert!(headers.iter().eq(theirs.iter()), "{headers:?} became {theirs:?}");
    }
}
