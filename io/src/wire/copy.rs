//! Copying a few bytes without a call.

/// Copies `from` to `to`, which has the same length.
///
/// Short ones are copied in line, from both ends towards the middle: a call of `memcpy` costs more than they do, and makes the
/// caller save its registers around it.
#[inline(always)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    if from.len() > 128 {
        to.copy_from_slice(from);
    } else if !(ends::<64>(from, to) || ends::<32>(from, to)) {
        copy_few(from, to);
    }
}

/// As [`copy`], of at most 64 bytes. Not in line: few callers have such lengths only, and those that have both pay no more than a
/// call.
#[inline(never)]
pub(crate) fn copy_few(from: &[u8], to: &mut [u8]) {
    if !(ends::<32>(from, to)
        || ends::<16>(from, to)
        || ends::<8>(from, to)
        || ends::<4>(from, to)
        || ends::<2>(from, to))
        && let ([byte], [dest]) = (from, to)
    {
        *dest = *byte;
    }
}

/// Copies the first and the last `N` bytes, which meet or overlap where `from` has `2 * N` or less. False if it has less than `N`.
#[inline(always)]
fn ends<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return false };
    if let Some(dest) = to.first_chunk_mut::<N>() {
        *dest = *first;
    }
    if let Some(dest) = to.last_chunk_mut::<N>() {
        *dest = *last;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{copy, copy_few};

    #[test]
    fn every_length_is_copied_whole_and_nothing_else() {
        let from: Vec<u8> = (0..300).map(|i| i as u8 | 1).collect();
        for len in 0..300 {
            let mut to = vec![0; 302];
            copy(&from[..len], &mut to[1..=len]);
            if len <= 64 {
                let mut few = vec![0; 302];
                copy_few(&from[..len], &mut few[1..=len]);
                assert_eq!(few, to);
            }
            assert_eq!(&to[1..=len], &from[..len]);
            assert!(to[0] == 0 && to[len + 1..].iter().all(|byte| *byte == 0), "{len}");
        }
    }
}
