//! Topics and their partitions.

use super::{Inner, Producer};
use crate::Topic;
use crate::error::SendErrorKind;
use crate::sender::Patience;
use crate::waits::Waits;
use forebay_io::topics::{TopicEntry, TopicNameError};
use forebay_io::wire::ErrorCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a thread or task that waits for a topic asks the cluster again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Producer {
    /// A handle for a topic; its partitions are asked for in the background. The same name gives the same handle.
    ///
    /// # Errors
    /// A name that no Kafka broker accepts.
    pub fn topic(&self, name: &str) -> Result<Topic, TopicNameError> {
        let id = self.inner.topics.intern(name)?;
        // Nobody to ask once the producer has ended; the send will say so.
        let _ = self.inner.threads.want_topic(id);
        Ok(Topic { id, producer: self.inner.number })
    }

    /// How many partitions a topic has; waits for the cluster's answer.
    ///
    /// # Errors
    /// `UnknownTopic` after `timeout`, or at once if the cluster refuses the topic for good; `Authentication` if no broker lets the
    /// producer in; `Closed`; `ForeignTopic` if another producer made the handle. In a delivery callback it does not wait.
    pub fn partitions_for(&self, topic: Topic, timeout: Duration) -> Result<u32, SendErrorKind> {
        let entry = self.inner.entry(topic).ok_or(SendErrorKind::ForeignTopic)?;
        self.inner.wait_for_partitions(&entry, None, &Waits::new(&self.inner, Patience::For(timeout)))?;
        Ok(entry.partitions())
    }

    /// The name of a topic. None if another producer made the handle.
    pub fn topic_name(&self, topic: Topic) -> Option<Arc<str>> {
        self.inner.entry(topic).map(|entry| entry.name().clone())
    }
}

impl Inner {
    /// What is known of a topic of this producer.
    pub(crate) fn entry(&self, topic: Topic) -> Option<Arc<TopicEntry>> {
        if topic.producer == self.number { self.topics.entry(topic.id) } else { None }
    }

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
            let asked = match partitions {
                0 => self.threads.want_topic(entry.id()),
                _ => self.threads.want_more(entry.id()),
            };
            if self.topics.is_closed() || asked.is_err() {
                return Err(SendErrorKind::Closed);
            }
            if partitions == 0
                && let Some(reason) = self.topics.denied()
            {
                return Err(SendErrorKind::Authentication { reason });
            }
            let code = ErrorCode(entry.error());
            let left = waits.left();
            if waits.never || left == Some(Duration::ZERO) || (partitions == 0 && code.refuses_topic()) {
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
