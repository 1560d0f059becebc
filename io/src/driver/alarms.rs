//! Wakers that the I/O thread calls at their time: the deadlines of tasks that wait, which have no thread to sleep on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::time::Time;
use crate::wakers::wake_all_and_go_on;

/// Alarms by time. A task sets one and rings for the I/O thread if it is the first to go off, so that no sleep lasts longer.
#[derive(Debug, Default)]
pub(super) struct Alarms(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    set: BTreeMap<Alarm, Waker>,
    made: u64,
    ended: bool,
}

/// One that was set: what [`DriverHandle::cancel`](super::DriverHandle::cancel) takes it back by.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Alarm {
    at: Time,
    number: u64,
}

impl Alarms {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `waker` called once, at `at` or soon after. `ring` wakes the I/O thread if it may sleep beyond that. After the end it is called
    /// at once.
    pub(super) fn set(&self, at: Time, waker: Waker, ring: impl FnOnce()) -> Alarm {
        let mut book = self.book();
        let alarm = Alarm { at, number: book.made };
        book.made += 1;
        if book.ended {
            drop(book);
            waker.wake();
            return alarm;
        }
        book.set.insert(alarm, waker);
        let first = book.set.keys().next() == Some(&alarm);
        drop(book);
        if first {
            ring();
        }
        alarm
    }

    /// It is not called any more, or has been.
    pub(super) fn cancel(&self, alarm: Alarm) {
        let cancelled = self.book().set.remove(&alarm);
        drop(cancelled); // without the lock: it is the application's code
    }

    /// Calls those whose time has come, and says when the next one's will.
    pub(super) fn go_off(&self, now: Time) -> Option<Time> {
        let mut book = self.book();
        let next = book.set.keys().next()?.at;
        if next > now {
            return Some(next);
        }
        let later = book.set.split_off(&Alarm { at: now + Duration::from_nanos(1), number: 0 });
        let due = std::mem::replace(&mut book.set, later);
        let next = book.set.keys().next().map(|alarm| alarm.at);
        drop(book);
        wake_all_and_go_on(due.into_values());
        next
    }

    /// Calls all: nobody will at their time.
    pub(super) fn end(&self) {
        let mut book = self.book();
        book.ended = true;
        let left = std::mem::take(&mut book.set);
        drop(book);
        wake_all_and_go_on(left.into_values());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wakers::testing::{Broken, Calls};
    use std::sync::Arc;

    fn set(alarms: &Alarms, at: u64, calls: &Arc<Calls>) -> (Alarm, bool) {
        let mut rung = false;
        let alarm = alarms.set(Time(at), calls.clone().into(), || rung = true);
        (alarm, rung)
    }

    #[test]
    fn each_goes_off_once_at_its_time_and_only_an_earlier_one_rings() {
        let (alarms, calls) = (Alarms::default(), Arc::<Calls>::default());
        assert_eq!(alarms.go_off(Time(1)), None);
        assert!(set(&alarms, 20, &calls).1, "the first");
        assert!(!set(&alarms, 20, &calls).1, "the I/O thread wakes by then");
        assert!(!set(&alarms, 30, &calls).1);
        assert!(set(&alarms, 10, &calls).1, "an earlier one");
        assert_eq!((alarms.go_off(Time(9)), calls.count()), (Some(Time(10)), 0));
        assert_eq!((alarms.go_off(Time(20)), calls.count()), (Some(Time(30)), 3));
        assert_eq!((alarms.go_off(Time(30)), calls.count()), (None, 4));
        assert_eq!(Arc::strong_count(&calls), 1, "none is kept");
    }

    #[test]
    fn a_cancelled_one_is_not_called_and_not_kept() {
        let (alarms, calls) = (Alarms::default(), Arc::<Calls>::default());
        let (first, _) = set(&alarms, 10, &calls);
        let (second, _) = set(&alarms, 10, &calls);
        assert_ne!(first, second);
        alarms.cancel(first);
        assert_eq!(Arc::strong_count(&calls), 2);
        assert_eq!((alarms.go_off(Time(10)), calls.count()), (None, 1));
        alarms.cancel(second);
    }

    #[test]
    fn the_end_calls_all_and_whoever_comes_after() {
        let (alarms, calls) = (Alarms::default(), Arc::<Calls>::default());
        set(&alarms, 10, &calls);
        set(&alarms, u64::MAX, &calls);
        alarms.end();
        assert_eq!(calls.count(), 2);
        assert!(!set(&alarms, 10, &calls).1, "there is nobody to ring for");
        assert_eq!(calls.count(), 3);
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_asleep() {
        let (alarms, calls) = (Alarms::default(), Arc::<Calls>::default());
        alarms.set(Time(1), Arc::new(Broken).into(), || {});
        set(&alarms, 2, &calls);
        assert_eq!((alarms.go_off(Time(2)), calls.count()), (None, 1));
    }
}
