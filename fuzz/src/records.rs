//! Records: encoding, walking and stamping.

use crate::input::Input;
use forebay_io::wire::crc::crc32c;
use forebay_io::wire::record::{self, MAX_RECORDS, RecordHeader, Shape};
use forebay_io::wire::varint::{read32, read64, unzigzag32, unzigzag64};
use forebay_io::wire::walk::Walker;

/// An even first byte: the rest is walked as it is. An odd one: it describes records, which are encoded in each way
/// there is, walked and read back.
pub fn walk(data: &[u8]) {
    let mut input = Input(data);
    if input.byte() % 2 == 0 { any_bytes(input) } else { round_trip(input) }
}

/// Layout: most records (2 bytes), most bytes (2), number of slices, their lengths, the bytes.
fn any_bytes(mut input: Input<'_>) {
    let max_records = u32::from(input.word());
    let max_bytes = usize::from(input.word());
    let slices = input.below(16);
    let lengths = input.bytes(slices);
    let mut bytes = input.0.to_vec();
    let mut walker = Walker::new(max_records, max_bytes);
    let mut accepted = Vec::new();
    let mut rest = &mut bytes[..];
    let mut lengths = lengths.iter().map(|&len| usize::from(len));
    loop {
        let len = lengths.next().unwrap_or(rest.len()).min(rest.len());
        let (slice, after) = rest.split_at_mut(len);
        let original = slice.to_vec();
        let taken = walker.walk(slice);
        assert!(taken <= slice.len());
        assert_eq!(slice[taken..], original[taken..], "what is not accepted is not stamped");
        accepted.extend_from_slice(&slice[..taken]);
        rest = after;
        if taken < len || rest.is_empty() {
            break;
        }
    }
    assert!(walker.count() <= max_records.min(MAX_RECORDS));
    assert!(walker.bytes() <= max_bytes || walker.count() <= 1, "only the first record may exceed the limit");
    assert_eq!(walker.bytes(), accepted.len() + walker.pending());
    assert_eq!(walker.crc(), crc32c(&accepted));
}

/// A record as described by the input.
pub(crate) struct Described<'a> {
    pub(crate) ts_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Vec<RecordHeader<'a>>,
}

pub(crate) fn describe<'a>(input: &mut Input<'a>) -> Described<'a> {
    let kind = input.byte();
    let ts_delta = match kind & 3 {
        0 => i64::from(input.byte()),
        1 => i64::from(input.word()),
        2 => -i64::from(input.word()),
        _ => input.i64(),
    };
    let mut field = |present: bool| {
        let len = if present { usize::from(input.byte()) } else { 0 };
        present.then(|| input.bytes(len))
    };
    let (key, value) = (field(kind & 4 != 0), field(kind & 8 != 0));
    let headers = (0..kind >> 6)
        .map(|_| RecordHeader {
            key: std::str::from_utf8(field(true).unwrap_or_default()).unwrap_or("?"),
            value: field(kind & 16 != 0),
        })
        .collect();
    Described { ts_delta, key, value, headers }
}

fn encode(described: &Described<'_>) -> Vec<u8> {
    let Described { ts_delta, key, value, headers } = described;
    let shape =
        Shape::measure(*ts_delta, key.map(<[u8]>::len), value.map(<[u8]>::len), headers).expect("a small record");
    let mut whole = vec![0xaa; shape.total_len];
    record::encode(&shape, *ts_delta, *key, *value, headers, &mut whole);

    let mut pieces = Vec::new();
    record::encode_to(&shape, *ts_delta, *key, *value, headers, &mut |piece| pieces.extend_from_slice(piece));
    assert_eq!(pieces, whole, "in pieces as in one");

    let mut placed = vec![0x55; shape.total_len];
    let value_len = value.map(<[u8]>::len);
    let at = record::encode_prefix(&shape, *ts_delta, *key, value_len, &mut placed);
    assert_eq!(at, shape.prefix_len);
    let end = at + value_len.unwrap_or(0);
    placed[at..end].copy_from_slice(value.unwrap_or_default());
    assert_eq!(record::encode_suffix(headers, &mut placed[end..]), shape.suffix_len(value_len));
    assert_eq!(placed, whole, "around the value as in one");
    whole
}

fn round_trip(mut input: Input<'_>) {
    let cut = input.below(64);
    let mut records = Vec::new();
    while !input.is_empty() && records.len() < 100 {
        records.push(describe(&mut input));
    }
    let mut walker = Walker::new(MAX_RECORDS, usize::MAX);
    let mut all = Vec::new();
    for described in &records {
        let mut bytes = encode(described);
        // The rest of a record, but not its head, may lie in another slice.
        let border = bytes.len().min(record::HEAD_MAX + cut);
        let (first, second) = bytes.split_at_mut(border);
        assert_eq!(walker.walk(first), first.len());
        assert_eq!(walker.pending(), second.len());
        assert_eq!(walker.walk(second), second.len());
        all.extend_from_slice(&bytes);
    }
    assert!(!walker.poisoned());
    assert_eq!((walker.count() as usize, walker.bytes(), walker.pending()), (records.len(), all.len(), 0));
    assert_eq!(walker.max_ts_delta(), records.iter().map(|described| described.ts_delta).max().unwrap_or(0));
    assert_eq!(walker.crc(), crc32c(&all));
    let mut rest = &all[..];
    for (index, described) in records.iter().enumerate() {
        rest = read_back(rest, index, described);
    }
    assert!(rest.is_empty());
}

/// Reads a record as a broker would, with the plain varint readers.
fn read_back<'a>(bytes: &'a [u8], index: usize, expected: &Described<'_>) -> &'a [u8] {
    let mut at = 0;
    let int = |at: &mut usize| {
        let (value, len) = read32(&bytes[*at..]).expect("a varint");
        *at += len;
        unzigzag32(value)
    };
    let field = |at: &mut usize| {
        let len = usize::try_from(int(at)).ok()?;
        *at += len;
        Some(&bytes[*at - len..*at])
    };
    let body = int(&mut at) as usize;
    let end = at + body;
    assert_eq!(bytes[at], 0, "attributes");
    at += 1;
    let (ts_delta, len) = read64(&bytes[at..]).expect("a varint");
    at += len;
    assert_eq!(unzigzag64(ts_delta), expected.ts_delta);
    assert_eq!(int(&mut at) as usize, index, "the offset delta is stamped");
    assert_eq!(field(&mut at), expected.key);
    assert_eq!(field(&mut at), expected.value);
    assert_eq!(int(&mut at) as usize, expected.headers.len());
    for header in &expected.headers {
        assert_eq!(field(&mut at), Some(header.key.as_bytes()));
        assert_eq!(field(&mut at), header.value);
    }
    assert_eq!(at, end, "the length field tells the truth");
    &bytes[end..]
}
