//! The I/O thread's way to whoever waits for outcomes.

use crate::hub::{Callback, Hub};
use crate::sync::{Mutex, lock};
use forebay_io::core::{FailureKind, Flushed, Report};
use forebay_io::driver::Sink;
use forebay_io::topics::TopicTable;
use std::sync::Arc;

/// The I/O thread's way to the hub.
pub(super) struct HubSink {
    pub(super) hub: Arc<Hub>,
    pub(super) topics: Arc<TopicTable>,
    pub(super) callback: Option<Callback>,
    pub(super) failure: Arc<Mutex<Option<String>>>,
}

impl Sink for HubSink {
    fn reports(&mut self, reports: &[Report]) {
        self.hub.reports(reports, &self.topics, self.callback.as_mut());
    }

    fn runs_foreign_code(&self) -> bool {
        self.callback.is_some()
    }

    fn flushed(&mut self, flushed: &[Flushed]) {
        for flush in flushed {
            self.hub.flushed(*flush);
        }
    }

    fn ended(&mut self, failure: Option<&str>) {
        if let Some(failure) = failure {
            *lock(&self.failure) = Some(failure.to_owned());
        }
        self.hub.end(if failure.is_some() { FailureKind::Poisoned } else { FailureKind::Closed });
    }
}
