//! What an unknown key was probably meant to be.

use super::key::keys;

/// Longer keys than this get no suggestion: the work grows with the product of the lengths, and no key is half as long.
const LONGEST: usize = 128;

/// librdkafka's own names for what Kafka calls otherwise, and old names of Kafka's.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("queue.buffering.max.kbytes", "buffer.memory"),
    ("queue.buffering.max.messages", "buffer.memory"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("message.max.bytes", "max.request.size"),
    ("message.send.max.retries", "retries"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("request.required.acks", "acks"),
    ("compression.codec", "compression.type"),
    ("batch.num.messages", "batch.size"),
    ("socket.send.buffer.bytes", "send.buffer.bytes"),
    ("socket.receive.buffer.bytes", "receive.buffer.bytes"),
    ("socket.connection.setup.timeout", "socket.connection.setup.timeout.ms"),
    ("topic.metadata.refresh.interval.ms", "metadata.max.age.ms"),
    ("sticky.partitioning.linger.ms", "partitioner.class"),
    ("ssl.ca.location", "ssl.truststore.location"),
    ("ssl.ca.pem", "ssl.truststore.certificates"),
    ("ssl.certificate.location", "ssl.keystore.location"),
    ("ssl.certificate.pem", "ssl.keystore.certificate.chain"),
    ("ssl.key.location", "ssl.keystore.location"),
    ("ssl.key.pem", "ssl.keystore.key"),
    ("enable.ssl.certificate.verification", "ssl.truststore.location"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.oauthbearer.config", "sasl.oauthbearer.token.endpoint.url"),
    ("block.on.buffer.full", "max.block.ms"),
    ("metadata.fetch.timeout.ms", "max.block.ms"),
    ("timeout.ms", "request.timeout.ms"),
];

/// The key that `unknown` was probably meant to be, if one is near enough to be worth saying.
pub(super) fn nearest(unknown: &str) -> Option<&'static str> {
    let unknown = unknown.trim().to_ascii_lowercase().replace(['_', '-'], ".");
    if unknown.is_empty() || unknown.len() > LONGEST {
        return None;
    }
    if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| *alias == unknown) {
        return Some(meant);
    }
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
    use super::{distance, nearest};

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("linger.ms", "linger.ms"), 0);
    }

    #[test]
    fn slips_and_foreign_names_find_their_key() {
        for (written, meant) in [
            ("linger.mss", "linger.ms"),
            ("LINGER_MS", "linger.ms"),
            ("bootstrap.server", "bootstrap.servers"),
            ("bufer.memory", "buffer.memory"),
            ("queue.buffering.max.ms", "linger.ms"),
            ("max.in.flight", "max.in.flight.requests.per.connection"),
        ] {
            assert_eq!(nearest(written), Some(meant), "{written}");
        }
    }

    #[test]
    fn nonsense_finds_nothing() {
        assert_eq!(nearest("zzzzzzzzzzzzqqqqqqqqqqqq"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"x".repeat(100_000)), None);
    }
}
