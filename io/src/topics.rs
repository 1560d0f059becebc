//! The topics of a producer: names to small ids, and what is known of each, shared between senders and the core.
//!
//! Senders read a topic's partition count without a lock; only the core writes it. A sender that must wait for
//! metadata waits for the table's generation to change.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI16, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::shares::Shares;
use crate::wakers::wake_all_and_go_on;

/// The longest legal topic name, in bytes (Kafka's `Topic.MAX_NAME_LENGTH`).
pub const MAX_NAME: usize = 249;

/// A topic of one producer: the index of its entry in the [`TopicTable`].
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub struct TopicId(pub u32);

impl TopicId {
    /// The tag of a lane that feeds `partition` of this topic.
    pub const fn lane_tag(self, partition: u32) -> u64 {
        (self.0 as u64) << 32 | partition as u64
    }

    /// The topic and partition of a lane tag.
    pub const fn of_tag(tag: u64) -> (Self, u32) {
        (Self((tag >> 32) as u32), tag as u32)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why a name is not a topic's.
#[derive(Copy, Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicNameError {
    /// The name is empty.
    #[error("a topic name must not be empty")]
    Empty,
    /// The name is longer than [`MAX_NAME`] bytes.
    #[error("a topic name has at most 249 bytes, this one has {0}")]
    TooLong(usize),
    /// The name is "." or "..".
    #[error("a topic cannot be called \".\" or \"..\"")]
    Dots,
    /// The name has a character other than ASCII letters, digits, '.', '_' and '-'.
    #[error("a topic name consists of ASCII letters, digits, '.', '_' and '-', not {0:?}")]
    Character(char),
    /// The table is full (2³² − 1 names).
    #[error("too many topics")]
    TooMany,
}

/// What is known of one topic.
#[derive(Debug)]
pub struct TopicEntry {
    id: TopicId,
    name: Arc<str>,
    partitions: AtomicU32,
    error: AtomicI16,
    shares: Shares,
}

impl TopicEntry {
    /// Its id.
    pub fn id(&self) -> TopicId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many partitions it has; 0 while that is not known. Never goes back to 0 once it is known.
    pub fn partitions(&self) -> u32 {
        self.partitions.load(Ordering::Relaxed)
    }

    /// Where records go of which nobody says where.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// The last error code that the cluster gave for it, 0 if none.
    pub fn error(&self) -> i16 {
        self.error.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct Names {
    by_name: HashMap<Arc<str>, TopicId>,
    entries: Vec<Arc<TopicEntry>>,
}

#[derive(Debug, Default)]
struct Changes {
    generation: u64,
    closed: bool,
    denied: Option<Arc<str>>,
    /// Tasks that wait for the next change, by number.
    tasks: BTreeMap<u64, Waker>,
    calls: u64,
}

/// All topics that one producer has named.
#[derive(Debug, Default)]
pub struct TopicTable {
    names: RwLock<Names>,
    changes: Mutex<Changes>,
    changed: Condvar,
}

impl TopicTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of a topic; the same name gives the same id.
    ///
    /// # Errors
    /// A name that no Kafka broker accepts.
    pub fn intern(&self, name: &str) -> Result<TopicId, TopicNameError> {
        if let Some(id) = self.read().by_name.get(name) {
            return Ok(*id);
        }
        check_name(name)?;
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = names.by_name.get(name) {
            return Ok(*id);
        }
        let index = u32::try_from(names.entries.len()).map_err(|_| TopicNameError::TooMany)?;
        let (id, name) = (TopicId(index), Arc::<str>::from(name));
        let (partitions, error, shares) = (AtomicU32::new(0), AtomicI16::new(0), Shares::default());
        let entry = TopicEntry { id, name: name.clone(), partitions, error, shares };
        names.entries.push(Arc::new(entry));
        names.by_name.insert(name, id);
        Ok(id)
    }

    /// The entry of an id; `None` for an id of another table.
    pub fn entry(&self, id: TopicId) -> Option<Arc<TopicEntry>> {
        self.read().entries.get(id.index()).cloned()
    }

    /// Counts the changes; see [`TopicTable::wait_for_change`].
    pub fn generation(&self) -> u64 {
        self.changes().generation
    }

    /// True once the producer is closed or its I/O thread has died: nothing changes any more.
    pub fn is_closed(&self) -> bool {
        self.changes().closed
    }

    /// Waits until something has changed since `seen`, the table is closed, or `timeout` is over.
    /// Returns the generation then: equal to `seen` if nothing has changed.
    pub fn wait_for_change(&self, seen: u64, timeout: Duration) -> u64 {
        let end = Instant::now().checked_add(timeout);
        let mut changes = self.changes();
        while changes.generation == seen && !changes.closed {
            let left = match end {
                Some(end) => end.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(3_600),
            };
            if left.is_zero() {
                break;
            }
            changes = self.changed.wait_timeout(changes, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        changes.generation
    }

    /// Has `waker` called once, at the next change. What has changed before is not told: look again afterwards.
    ///
    /// It is called by the thread that makes the change. The number is for [`TopicTable::forget_call`].
    pub fn call_at_change(&self, waker: Waker) -> u64 {
        let mut changes = self.changes();
        let number = changes.calls;
        changes.calls += 1;
        changes.tasks.insert(number, waker);
        number
    }

    /// It is not called any more, or has been.
    pub fn forget_call(&self, number: u64) {
        let forgotten = self.changes().tasks.remove(&number);
        drop(forgotten); // without the lock: it is the application's code
    }

    /// What the cluster says of a topic. A `partitions` of 0 (with an error) leaves the known count as it is.
    pub fn update(&self, id: TopicId, partitions: u32, error: i16) {
        let Some(entry) = self.entry(id) else { return };
        let old_error = entry.error.swap(error, Ordering::Relaxed);
        let old = if partitions > 0 { entry.partitions.swap(partitions, Ordering::Relaxed) } else { partitions };
        if old != partitions || old_error != error {
            self.change(|_| {});
        }
    }

    /// No broker lets us in, or, with `None`, one does again.
    pub fn deny(&self, why: Option<Arc<str>>) {
        self.change(|changes| changes.denied = why);
    }

    /// Why no broker lets us in, while that is so: nothing will be learned of any topic.
    pub fn denied(&self) -> Option<Arc<str>> {
        self.changes().denied.clone()
    }

    /// Wakes everyone who waits, for good.
    pub fn close(&self) {
        self.change(|changes| changes.closed = true);
    }

    /// Makes a change and tells everyone who waits for one.
    fn change(&self, make: impl FnOnce(&mut Changes)) {
        let mut changes = self.changes();
        make(&mut changes);
        changes.generation += 1;
        let tasks = std::mem::take(&mut changes.tasks);
        drop(changes);
        self.changed.notify_all();
        wake_all_and_go_on(tasks.into_values());
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_name(name: &str) -> Result<(), TopicNameError> {
    if name.is_empty() {
        return Err(TopicNameError::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(TopicNameError::TooLong(name.len()));
    }
    if name == "." || name == ".." {
        return Err(TopicNameError::Dots);
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(c) => Err(TopicNameError::Character(c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wakers::testing::{Broken, Calls};

    #[test]
    fn a_name_has_one_id() {
        let table = TopicTable::new();
        let (a, b) = (table.intern("a").expect("legal"), table.intern("b").expect("legal"));
        assert_ne!(a, b);
        assert_eq!(table.intern("a"), Ok(a));
        assert_eq!(table.entry(b).expect("exists").name().as_ref(), "b");
        assert!(table.entry(TopicId(9)).is_none());
    }

    #[test]
    fn names_that_kafka_refuses_are_refused() {
        let table = TopicTable::new();
        assert_eq!(table.intern(""), Err(TopicNameError::Empty));
        assert_eq!(table.intern(".."), Err(TopicNameError::Dots));
        assert_eq!(table.intern("a b"), Err(TopicNameError::Character(' ')));
        assert_eq!(table.intern(&"x".repeat(250)), Err(TopicNameError::TooLong(250)));
        assert!(table.intern(&"x".repeat(249)).is_ok());
    }

    #[test]
    fn a_waiter_sees_a_change_and_a_close() {
        let table = Arc::new(TopicTable::new());
        let id = table.intern("t").expect("legal");
        let seen = table.generation();
        assert_eq!(table.wait_for_change(seen, Duration::ZERO), seen);
        let other = table.clone();
        let waiter = std::thread::spawn(move || other.wait_for_change(seen, Duration::MAX));
        table.update(id, 3, 0);
        assert!(waiter.join().expect("no panic") > seen);
        assert_eq!(table.entry(id).expect("exists").partitions(), 3);
        table.update(id, 0, 5);
        assert_eq!(table.entry(id).map(|e| (e.partitions(), e.error())), Some((3, 5)));
        table.close();
        assert!(table.is_closed());
        table.wait_for_change(table.generation(), Duration::MAX);
    }

    #[test]
    fn a_task_is_called_at_the_next_change_once() {
        let table = TopicTable::new();
        let id = table.intern("t").expect("legal");
        let calls = Arc::<Calls>::default();
        let called_by = |change: &dyn Fn(&TopicTable)| {
            table.call_at_change(calls.clone().into());
            let before = calls.count();
            table.update(id, table.entry(id).map_or(0, |entry| entry.partitions()), 0);
            assert_eq!(calls.count(), before, "nothing has changed");
            change(&table);
            calls.count() - before
        };
        assert_eq!(called_by(&|table| table.update(id, 3, 0)), 1);
        assert_eq!(called_by(&|table| table.deny(Some("a password".into()))), 1);
        assert_eq!(called_by(&|table| table.deny(None)), 1);
        assert_eq!(called_by(&TopicTable::close), 1);
        assert_eq!(Arc::strong_count(&calls), 1, "none is kept");
    }

    #[test]
    fn a_task_that_gives_up_is_not_called_and_not_kept() {
        let table = TopicTable::new();
        let (stays, goes) = (Arc::<Calls>::default(), Arc::<Calls>::default());
        table.call_at_change(Arc::new(Broken).into());
        let number = table.call_at_change(goes.clone().into());
        table.call_at_change(stays.clone().into());
        table.forget_call(number);
        assert_eq!(Arc::strong_count(&goes), 1);
        table.close();
        table.forget_call(number);
        assert_eq!((stays.count(), goes.count()), (1, 0), "a panic keeps nobody asleep");
    }

    #[test]
    fn a_lane_tag_holds_topic_and_partition() {
        assert_eq!(TopicId::of_tag(TopicId(7).lane_tag(9)), (TopicId(7), 9));
    }
}
