//! An I/O thread's way to whoever waits for outcomes.

use super::threads::IoThreads;
use crate::hub::{Callback, Hub};
use crate::sync::{Mutex, lock};
use forebay_io::core::{Flushed, Report};
use forebay_io::driver::Sink;
use forebay_io::topics::TopicTable;
use std::sync::Arc;
use std::time::Duration;

/// An I/O thread's way to the hub.
#[derive(Clone)]
pub(super) struct HubSink {
    /// Which of the I/O threads it is.
    pub(super) number: usize,
    pub(super) hub: Arc<Hub>,
    pub(super) topics: Arc<TopicTable>,
    /// One for all threads: it is called by one at a time.
    pub(super) callback: Option<Arc<std::sync::Mutex<Callback>>>,
    pub(super) failure: Arc<Mutex<Option<String>>>,
    pub(super) threads: Arc<IoThreads>,
}

impl Sink for HubSink {
    fn reports(&mut self, reports: &[Report]) {
        // One that has panicked on another thread is not called again: that is the end.
        let mut callback = self.callback.as_ref().and_then(|callback| callback.lock().ok());
        self.hub.reports(self.number, reports, &self.topics, callback.as_deref_mut());
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
            lock(&self.failure).get_or_insert_with(|| failure.to_owned());
            // A producer of which a part is gone is of no use: the others end as well.
            self.threads.close(Duration::ZERO);
        }
        self.hub.end(failure.is_some());
    }
}
