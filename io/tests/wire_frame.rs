//! Response frames from a byte stream cut in any way.

use forebay_io::wire::WireError;
use forebay_io::wire::frame::FrameReader;
use proptest::prelude::*;

fn stream(frames: &[(i32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, body) in frames {
        out.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(body);
    }
    out
}

fn drain(reader: &mut FrameReader, mut input: &[u8], seen: &mut Vec<(i32, Vec<u8>)>) -> Result<(), WireError> {
    while let Some(frame) = reader.next(&mut input)? {
        seen.push((frame.correlation_id, frame.body.to_vec()));
    }
    assert!(input.is_empty(), "no frame means that the input is used up");
    Ok(())
}

#[test]
fn frames_that_lie_whole_in_the_input_are_lent_from_there() {
    let bytes = stream(&[(1, b"one".to_vec()), (-2, Vec::new()), (3, vec![3; 9000])]);
    let mut reader = FrameReader::new(10_000);
    let mut input = &bytes[..];
    for len in [3, 0, 9000] {
        let frame = reader.next(&mut input).expect("sound").expect("whole");
        assert_eq!(frame.body.len(), len);
        assert!(bytes.as_ptr_range().contains(&frame.body.as_ptr()) || len == 0, "not copied");
    }
    assert_eq!(reader.next(&mut input), Ok(None));
    assert_eq!(reader.pending(), 0);
}

#[test]
fn sizes_outside_the_limit_are_refused_for_good() {
    for size in [-1, i32::MIN, 0, 3, 101, i32::MAX] {
        for step in [1, 4, 10] {
            let mut reader = FrameReader::new(100);
            let bytes = [&stream(&[(5, vec![1; 96])])[..], &size.to_be_bytes(), &[0; 40]].concat();
            let mut seen = Vec::new();
            let result = bytes.chunks(step).try_for_each(|part| drain(&mut reader, part, &mut seen));
            assert_eq!(result, Err(WireError::FrameSize { size, max: 100 }));
            assert_eq!(seen.len(), 1, "the frame before it is sound");
            let good = stream(&[(6, vec![])]);
            assert!(reader.next(&mut &good[..]).is_err(), "the stream is lost");
        }
    }
}

#[test]
fn memory_follows_the_bytes_that_came_and_not_the_size_that_was_stated() {
    let mut reader = FrameReader::new(1 << 30);
    let mut input = &[0x3f, 0xff, 0xff, 0xff, 1, 2, 3][..];
    assert_eq!(reader.next(&mut input), Ok(None));
    assert_eq!(reader.pending(), 7);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        frames in proptest::collection::vec((any::<i32>(), proptest::collection::vec(any::<u8>(), 0..600)), 0..12),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let bytes = stream(&frames);
        let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut reader = FrameReader::new(700);
        let mut seen = Vec::new();
        for pair in cuts.windows(2) {
            prop_assert_eq!(drain(&mut reader, &bytes[pair[0]..pair[1]], &mut seen), Ok(()));
        }
        prop_assert_eq!(seen, frames);
        prop_assert_eq!(reader.pending(), 0);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..300), step in 1usize..50) {
        let mut reader = FrameReader::new(64);
        let mut seen = Vec::new();
        let _either = bytes.chunks(step).try_for_each(|part| drain(&mut reader, part, &mut seen));
        prop_assert!(seen.iter().all(|(_, body)| body.len() <= 60));
    }
}
