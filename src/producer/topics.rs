//! Topics and their partitions.

use super::{Inner, Producer};
use crate::Topic;
use crate::error::SendErrorKind;
use crate::sender::Patience;
use crate::waits::Waits;
use forebay_io::topics::{TopicEntry, TopicNameError};
use forebay_io::wire::{ErrorClass, ErrorCode};
use std::time::{Duration, Instant};

/// How often a thread that waits for a topic asks the cluster again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Producer {
    /// A handle for a topic; its partitions are asked for in the background. The same name gives the same handle.
    ///
    /// # Errors
    /// A name that no Kafka broker accepts.
    pub fn topic(&self, name: &str) -> Result<Topic, TopicNameError> {
        let id = self.inner.topics.intern(name)?;
        // Nobody to ask once the producer has ended; the send will say so.
        let _ = self.inner.threads.want_topic(id);
        Ok(Topic(id))
    }

    /// How many partitions a topic has; waits for the cluster's answer.
    ///
    /// # Errors
    /// `UnknownTopic` after `timeout`, or at once if the cluster refuses the topic for good; `Closed`.
    pub fn partitions_for(&self, topic: Topic, timeout: Duration) -> Result<u32, SendErrorKind> {
        let entry = self.inner.topics.entry(topic.0).ok_or(SendErrorKind::ForeignTopic)?;
        self.inner.wait_for_partitions(&entry, None, &Waits::new(&self.inner, Patience::For(timeout)))?;
        Ok(entry.partitions())
    }
}

impl Inner {
    /// Waits until a topic has partitions, and more than `partition` if that is given.
    pub(crate) fn wait_for_partitions(
        &self,
        entry: &TopicEntry,
        partition: Option<u32>,
        waits: &Waits,
    ) -> Result<(), SendErrorKind> {
        let mut span = None;
        loop {
            let seen = self.topics.generation();
            let partitions = entry.partitions();
            if partitions > partition.unwrap_or(0) {
                return Ok(());
            }
            if self.topics.is_closed() || self.threads.want_topic(entry.id()).is_err() {
                return Err(SendErrorKind::Closed);
            }
            if partitions == 0
                && let Some(reason) = self.topics.denied()
            {
                return Err(SendErrorKind::Authentication { reason });
            }
            let code = ErrorCode(entry.error());
            let left = waits.left();
            if waits.never || left == Some(Duration::ZERO) || (partitions == 0 && refuses_for_good(code)) {
                let topic = entry.name().to_string();
                return Err(match partition {
                    Some(partition) if partitions > 0 => {
                        SendErrorKind::UnknownPartition { topic, partition, partitions }
                    }
                    _ => SendErrorKind::UnknownTopic { topic, code, waited: waits.begun.elapsed() },
                });
            }
            span.get_or_insert_with(|| {
                tracing::debug_span!(target: "forebay::wait", "metadata", topic = &**entry.name()).entered()
            });
            let waiting = Instant::now();
            self.topics.wait_for_change(seen, left.unwrap_or(ASK_AGAIN).min(ASK_AGAIN));
            self.count_metadata_wait(waiting);
        }
    }
}

/// A code after which asking again for a topic is no use.
fn refuses_for_good(code: ErrorCode) -> bool {
    !code.is_none() && !matches!(code.class(), ErrorClass::Retriable | ErrorClass::RetriableRefresh)
}
