//! What senders wait for that nobody else would ring for: the answer to a record, and the end.

use shuttle::sync::{Condvar, Mutex};
use std::collections::BTreeMap;

#[derive(Default)]
struct State {
    /// Bytes answered, by lane tag.
    answered: BTreeMap<u64, usize>,
    ended: bool,
}

#[derive(Default)]
pub(crate) struct Outcomes {
    state: Mutex<State>,
    changed: Condvar,
}

impl Outcomes {
    pub(crate) fn answer(&self, tag: u64, bytes: usize) {
        *self.state.lock().expect("nothing panics under this lock").answered.entry(tag).or_default() += bytes;
        self.changed.notify_all();
    }

    /// Nothing will be answered any more.
    pub(crate) fn end(&self) {
        self.state.lock().expect("nothing panics under this lock").ended = true;
        self.changed.notify_all();
    }

    /// As a flush does: sleeps until so many bytes of a lane were answered, or nothing more will be.
    pub(crate) fn wait(&self, tag: u64, bytes: usize) {
        let mut state = self.state.lock().expect("nothing panics under this lock");
        while !state.ended && state.answered.get(&tag).is_none_or(|answered| *answered < bytes) {
            state = self.changed.wait(state).expect("nothing panics under this lock");
        }
    }
}
