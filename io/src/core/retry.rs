//! Batches that go again, and those that do not.

use forebay_engine::mutant;

use super::Core;
use super::backoff::delay;
use super::batch::BatchId;
use super::report::{DeliveryFailure, FailureKind};
use super::requests::RequestId;
use crate::time::Time;
use crate::wire::error_code::ErrorCode;

impl Core {
    /// Puts a batch, which its broker has refused, back in its place.
    pub(super) fn retry_refused(&mut self, id: BatchId, now: Time) {
        self.requeue(id, self.batches.get(id).attempts, now);
    }

    /// Puts a batch whose connection is lost back in its place. The next connection has a backoff of its own, and says that the broker is
    /// there: only when it is lost as well does the batch wait for longer than that.
    fn retry_lost(&mut self, id: BatchId, now: Time) {
        self.requeue(id, self.batches.get(id).attempts.saturating_sub(1), now);
    }

    /// Puts a batch, which is in no request, back in its place. It goes again after the backoff that so many failures call for, or at
    /// once if the partition's leader is not the one that failed.
    fn requeue(&mut self, id: BatchId, failures: u32, now: Time) {
        self.meter_retry(id, now);
        let (first, largest) = (self.cfg.retry_backoff, self.cfg.retry_backoff_max);
        let pause = delay(first, largest, failures, &mut self.rng);
        let batch = self.batches.get(id);
        let number = batch.partition;
        if mutant!("a_retry_stops_its_broker")
            && let Some(broker) = self.brokers.find(self.partitions[number as usize].leader_used.node)
        {
            self.brokers.get_mut(broker).throttled_until = now + pause;
        }
        if mutant!("a_retry_takes_new_sequence_numbers") {
            let sequence = self.partitions[number as usize].next_sequence;
            self.batches.get_mut(id).base_sequence = sequence;
        }
        let batch = self.batches.get(id);
        let partition = &mut self.partitions[number as usize];
        let topic = self.metadata.name(partition.topic);
        tracing::debug!(
            target: "forebay::delivery",
            topic,
            partition = partition.index,
            records = batch.count,
            attempts = batch.attempts,
            pause_ms = pause.as_millis() as u64,
            "a batch goes again"
        );
        partition.requeue(batch.order, id);
        // The others follow the first one, and have waited by then.
        if partition.retry.front().is_some_and(|first| first.1 == id) {
            partition.retry_at = now + pause;
        }
        partition.failed_leader = partition.leader_used;
        self.enlist(number);
    }

    /// Fails a batch that is in no request.
    pub(super) fn fail_batch(&mut self, id: BatchId, failure: &DeliveryFailure) {
        let batch = self.batches.get(id);
        let partition = &self.partitions[batch.partition as usize];
        tracing::warn!(
            target: "forebay::delivery",
            topic = self.metadata.name(partition.topic),
            partition = partition.index,
            records = batch.count,
            error = %failure,
            "a batch has failed"
        );
        self.abandon(id);
        self.batches.resolve(id, &mut self.ledger, &Err(failure.clone()));
        self.batches.release(id, &mut self.io, &mut self.ledger);
    }

    /// A batch will not be sent again: its sequence numbers are taken back, or leave a gap.
    pub(super) fn abandon(&mut self, id: BatchId) {
        let batch = self.batches.get(id);
        self.partitions[batch.partition as usize].abandon(batch);
    }

    /// A request's connection is gone: nothing can write its bytes any more, and no answer will come.
    pub(super) fn lose_request(&mut self, request: RequestId, now: Time) {
        // A request of which the broker cannot have the end cannot have been understood.
        let may_arrive = self.requests.get(request).may_arrive() && !mutant!("what_is_encrypted_is_not_in_doubt");
        let batches = std::mem::take(&mut self.requests.get_mut(request).batches);
        for id in batches.iter().copied() {
            let sent = self.batches.get(id).written;
            let written = sent || may_arrive;
            self.leave_request(id);
            let batch = self.batches.get_mut(id);
            if written && !sent {
                // Sent, as far as anybody will ever know.
                batch.attempts = batch.attempts.saturating_add(1);
            }
            batch.maybe_appended |= written && !mutant!("a_lost_answer_means_not_appended");
            if batch.done && mutant!("quarantine_without_end") {
                continue;
            }
            if batch.done {
                self.batches.release(id, &mut self.io, &mut self.ledger);
            } else if batch.attempts > self.cfg.retries {
                let possibly_appended = batch.maybe_appended;
                let kind = FailureKind::Broker { code: ErrorCode::NETWORK_EXCEPTION, message: None };
                self.fail_batch(id, &DeliveryFailure { kind, possibly_appended });
            } else {
                self.retry_lost(id, now);
            }
        }
        self.requests.get_mut(request).batches = batches;
        self.requests.remove(request);
    }
}
