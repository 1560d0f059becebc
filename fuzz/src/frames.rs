//! The frame reader against one that sees the whole stream at once.

use crate::budget::within;
use crate::input::Input;
use forebay_io::wire::frame::FrameReader;

/// The bytes of a size field and the correlation id.
const PREFIX: usize = 8;

/// Cuts a stream where the input says and compares the frames with those of the uncut stream.
///
/// Layout: the largest frame (2 bytes), the number of cuts, the distances between them, the stream.
pub fn any_splits(data: &[u8]) {
    let mut input = Input(data);
    let max = usize::from(input.word()).max(4);
    let cuts = input.below(32);
    let cuts = input.bytes(cuts);
    let stream = input.0;
    let (expected, broken) = uncut(max, stream);

    let mut reader = FrameReader::new(max);
    let mut seen = Vec::new();
    let mut failure = None;
    let mut rest = stream;
    let mut distances = cuts.iter().map(|&distance| usize::from(distance));
    while failure.is_none() && !rest.is_empty() {
        let (mut chunk, after) = rest.split_at(distances.next().unwrap_or(rest.len()).min(rest.len()));
        rest = after;
        loop {
            let before = chunk.len();
            match within(stream.len(), || reader.next(&mut chunk)) {
                Ok(Some(frame)) => seen.push((frame.correlation_id, frame.body.to_vec())),
                Ok(None) => {
                    assert!(chunk.is_empty(), "None leaves no input");
                    break;
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            assert!(chunk.len() <= before);
        }
        assert!(reader.pending() <= max + 4, "no more is held than a frame");
    }
    assert_eq!(seen, expected);
    assert_eq!(failure.is_some(), broken, "{failure:?}");
    if let Some(error) = failure {
        assert_eq!(reader.next(&mut &stream[..]), Err(error), "a lost stream stays lost");
    }
}

/// The frames of a stream, and whether it ends in a size that is refused.
fn uncut(max: usize, mut stream: &[u8]) -> (Vec<(i32, Vec<u8>)>, bool) {
    let mut frames = Vec::new();
    while let Some((size, rest)) = stream.split_first_chunk::<4>() {
        let size = i32::from_be_bytes(*size);
        let Some(size) = usize::try_from(size).ok().filter(|size| (4..=max).contains(size)) else {
            return (frames, true);
        };
        if rest.len() < size {
            break;
        }
        let id: [u8; 4] = std::array::from_fn(|i| rest[i]);
        frames.push((i32::from_be_bytes(id), rest[PREFIX - 4..size].to_vec()));
        stream = &rest[size..];
    }
    (frames, false)
}
