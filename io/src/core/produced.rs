//! A broker's answer for one batch, taken out of the response.

use std::sync::Arc;

use super::batch::Batch;
use super::ledger::Ledger;
use super::partition::Leader;
use super::report::{DeliveryFailure, FailureKind};
use crate::wire::error_code::ErrorCode;
use crate::wire::produce::PartitionResponse;

pub(crate) struct Produced {
    /// Number of the batch in its request.
    pub(crate) number: usize,
    pub(crate) code: ErrorCode,
    pub(crate) base_offset: i64,
    pub(crate) log_append_time: i64,
    pub(crate) log_start_offset: i64,
    pub(crate) leader: Option<Leader>,
    pub(crate) message: Option<Arc<str>>,
    /// Records that the broker found wrong, by number (KIP-467).
    pub(crate) wrong: Vec<(u32, Option<Arc<str>>)>,
}

impl Produced {
    /// Allocates only for errors.
    pub(crate) fn new(number: usize, response: &PartitionResponse<'_>) -> Self {
        let mut wrong: Vec<_> = response
            .record_errors
            .clone()
            .filter_map(|(at, text)| Some((u32::try_from(at).ok()?, text.map(Arc::from))))
            .collect();
        wrong.sort_by_key(|entry| entry.0);
        wrong.dedup_by_key(|entry| entry.0);
        Self {
            number,
            code: response.error_code,
            base_offset: response.base_offset,
            log_append_time: response.log_append_time_ms,
            log_start_offset: response.log_start_offset,
            leader: response.current_leader.filter(|l| l.0 >= 0).map(|(node, epoch)| Leader { node, epoch }),
            message: response.error_message.map(Arc::from),
            wrong,
        }
    }

    /// True if an answer with this error does not exclude that the batch is in the log. A leader that loses its office
    /// while it waits for replicas answers with an error of the metadata kind after it has appended.
    pub(crate) fn leaves_doubt(&self) -> bool {
        self.code.outcome_unknown()
            || matches!(self.code.0, -1 | 3 | 5 | 6 | 9 | 56 | 74 | 75 | 100 | 103)
            || self.code.name() == "UNKNOWN"
    }

    pub(crate) fn failure(&self, possibly_appended: bool) -> DeliveryFailure {
        DeliveryFailure {
            kind: FailureKind::Broker { code: self.code, message: self.message.clone() },
            possibly_appended,
        }
    }

    /// Fails each record of a batch with its own error: those found wrong with the broker's words, the others as
    /// their mates.
    pub(crate) fn fail_records(&self, batch: &mut Batch, ledger: &mut Ledger, possibly_appended: bool) {
        if std::mem::replace(&mut batch.done, true) {
            return;
        }
        let mate = DeliveryFailure { kind: FailureKind::BatchMate { code: self.code }, possibly_appended };
        let mut wrong = self.wrong.iter().peekable();
        let mut first = 0;
        for part in &batch.parts {
            let end = first + part.count;
            let mut rest = Some(part.span);
            let mut at = first;
            while let Some(span) = rest.take() {
                let Some((number, text)) = wrong.next_if(|w| w.0 < end) else {
                    ledger.resolve(span, Err(mate.clone()));
                    break;
                };
                let mut span = span;
                if *number > at {
                    let tail = ledger.split_span(span, number - at, 0);
                    ledger.resolve(span, Err(mate.clone()));
                    span = tail;
                }
                at = number + 1;
                rest = (at < end).then(|| ledger.split_span(span, 1, 0));
                ledger.resolve(span, Err(self.record_failure(text.as_ref(), possibly_appended)));
            }
            first = end;
        }
    }

    fn record_failure(&self, text: Option<&Arc<str>>, possibly_appended: bool) -> DeliveryFailure {
        let message = text.or(self.message.as_ref()).cloned();
        DeliveryFailure { kind: FailureKind::Broker { code: self.code, message }, possibly_appended }
    }
}
