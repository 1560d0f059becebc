//! What an unknown key was probably meant to be.

use super::foreign_keys;
use super::key::keys;

/// Longer keys than this get no suggestion: the work grows with the product of the lengths, and no key is half as long.
const LONGEST: usize = 128;

/// What to say of a key that there is not: which one was probably meant, and whose it is.
pub(super) fn advice(unknown: &str) -> String {
    let written = folded(unknown);
    let foreign = |name: &str| foreign_keys::find(name).or_else(|| foreign_keys::find(&name.replace('_', ".")));
    if let Some(foreign) = written.as_deref().and_then(foreign) {
        return foreign.advice();
    }
    match written.as_deref().and_then(nearest) {
        Some(meant) => format!("no such key. Did you mean {meant}?"),
        None => "no such key. `forebay config` lists them all".to_owned(),
    }
}

/// As keys are written; None for what is nobody's idea of a key.
fn folded(unknown: &str) -> Option<String> {
    let unknown = unknown.trim();
    let plausible = !unknown.is_empty() && unknown.len() <= LONGEST;
    plausible.then(|| unknown.to_ascii_lowercase().replace('-', "."))
}

/// The key that `unknown` was probably meant to be, if one is near enough to be worth saying.
fn nearest(unknown: &str) -> Option<&'static str> {
    let unknown = unknown.replace('_', ".");
    let (distance, name) = keys().map(|spec| (distance(&unknown, spec.name), spec.name)).min()?;
    (distance <= unknown.len().max(name.len()) / 2).then_some(name)
}

/// Levenshtein's edit distance in bytes: insertions, deletions and replacements.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::{advice, distance};

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("linger.ms", "linger.ms"), 0);
    }

    #[test]
    fn slips_find_their_key() {
        for (written, meant) in [
            ("linger.mss", "linger.ms"),
            ("LINGER_MS", "linger.ms"),
            ("linger-ms", "linger.ms"),
            ("bootstrap.server", "bootstrap.servers"),
            ("bufer.memory", "buffer.memory"),
        ] {
            assert_eq!(advice(written), format!("no such key. Did you mean {meant}?"), "{written}");
        }
    }

    #[test]
    fn foreign_names_find_their_row() {
        assert!(advice("Queue.Buffering.Max.Ms").contains("linger.ms"));
        assert!(advice("queue_buffering_max_ms").contains("linger.ms"));
        assert!(advice("dr_msg_cb").contains("on_delivery"));
    }

    #[test]
    fn nonsense_finds_nothing() {
        for nonsense in ["zzzzzzzzzzzzqqqqqqqqqqqq", "", &"x".repeat(100_000)] {
            assert_eq!(advice(nonsense), "no such key. `forebay config` lists them all");
        }
    }
}
