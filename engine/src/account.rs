//! Where every segment of the slab is: the book that must always add up.

use crate::io_side::IoSide;
use crate::segments::NIL;

/// Where the segments of a slab are, as of one moment; see [`IoSide::account`].
///
/// Every segment is in exactly one class. All classes but the last are counted segment by segment; `with_senders` is what
/// was found nowhere else. So the identity is exact where it is known what senders hold (nothing, at rest: then `free` is
/// everything), and an upper bound on what they hold while they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// In a free ring, or freed and on the way there.
    pub free: usize,
    /// Set aside for the oldest waiting sender.
    pub set_aside: usize,
    /// Given back unused by a sender, and not collected yet.
    pub returned: usize,
    /// Published in a lane, as of the last look at it, and not reached by its reader.
    pub published: usize,
    /// Where a lane's reader stands, and of which nothing that was taken is held.
    pub open: usize,
    /// With bytes that were taken and not released: in flight or in quarantine.
    pub in_flight: usize,
    /// With senders: for a claim in progress, granted and not used yet, held by a lane and not begun, or published since the last
    /// look at the lane.
    pub with_senders: usize,
    /// Open segments of claims that were still held when their lane was retired after the last word ([`IoSide::finish`]): theirs, until
    /// the engine goes.
    pub left: usize,
    /// Holds of runs that were not released, one for each run and each segment that it touches: no part of the sum.
    pub runs: usize,
}

impl Account {
    /// The sum of all classes: the segments of the slab.
    pub fn total(&self) -> usize {
        let Account { free, set_aside, returned, published, open, in_flight, with_senders, left, runs: _ } = *self;
        free + set_aside + returned + published + open + in_flight + with_senders + left
    }
}

/// The class of a segment, as [`Account`] explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    WithSenders,
    Left,
    Free,
    SetAside,
    Returned,
    Published,
    Open,
    InFlight,
}

/// A note on each segment while an account is drawn up. Empty until the first one is asked for.
#[derive(Default)]
pub(crate) struct Book {
    classes: Vec<Class>,
    account: Account,
}

impl Book {
    fn begin(&mut self, total: usize) {
        self.classes.clear();
        self.classes.resize(total, Class::WithSenders);
        self.account = Account { with_senders: total, ..Account::default() };
    }

    fn found(&mut self, segment: u32, class: Class) {
        assert!(segment != NIL, "a chain is as long as it says: {class:?}");
        let before = std::mem::replace(&mut self.classes[segment as usize], class);
        assert!(before == Class::WithSenders, "segment {segment} has two owners: {before:?} and {class:?}");
        let account = &mut self.account;
        account.with_senders -= 1;
        *match class {
            Class::WithSenders => &mut account.with_senders,
            Class::Free => &mut account.free,
            Class::SetAside => &mut account.set_aside,
            Class::Left => &mut account.left,
            Class::Returned => &mut account.returned,
            Class::Published => &mut account.published,
            Class::Open => &mut account.open,
            Class::InFlight => &mut account.in_flight,
        } += 1;
    }
}

impl IoSide {
    /// Draws up where every segment is: a walk over the whole slab, for checks and for figures that are looked at seldom.
    /// The first call allocates a byte for each segment, later ones nothing.
    ///
    /// Senders may go on meanwhile. Only the I/O side puts segments into the free rings and takes them out of lanes and
    /// out of what was returned, so what is found in one place can't be found in another as well: lanes are walked first
    /// and the free rings last, and what senders move meanwhile counts as theirs.
    ///
    /// # Panics
    /// If a segment has two owners, or a reader stands in one that it does not hold (I6), or what is counted as it comes and goes is
    /// not so many: the engine is broken.
    pub fn account(&mut self) -> Account {
        let mut book = std::mem::take(&mut self.book);
        book.begin(self.shared.total());
        let shift = self.shared.slab.view().shift();
        let table = &self.shared.table;
        let live = self.lanes.iter().flatten().filter(|reader| reader.active).count();
        assert_eq!(self.live, live, "live lanes are counted as they come and go");
        let mut readers = 0;
        for reader in self.lanes.iter().flatten() {
            if reader.segment != NIL {
                readers += 1;
                let holds = self.memory.holds(reader.segment);
                assert!(holds > 0, "segment {} is read and not held", reader.segment);
                book.found(reader.segment, if holds == 1 { Class::Open } else { Class::InFlight });
            }
            let mut segment = reader.segment;
            let from =
                if segment == NIL { reader.position.next_segment(shift) } else { reader.start(shift).skip(1, shift) };
            for _ in 0..from.segments_to(reader.committed, shift) {
                segment = if segment == NIL { reader.shared.first() } else { table.next(segment) };
                book.found(segment, Class::Published);
            }
        }
        for segment in self.memory.left() {
            book.found(*segment, Class::Left);
        }
        let (mut holds, mut held) = (0, 0);
        for segment in 0..self.shared.total() as u32 {
            let count = self.memory.holds(segment);
            holds += count as usize;
            let class = book.classes[segment as usize];
            held += usize::from(count > 0 && class != Class::Left);
            if count > 0 && !matches!(class, Class::Open | Class::InFlight | Class::Left) {
                book.found(segment, Class::InFlight);
            }
        }
        assert_eq!(held, self.memory.held(), "held segments are counted as they come and go");
        book.account.runs = holds - readers;
        self.memory.each_freed(|segment| book.found(segment, Class::Free));
        self.memory.each_set_aside(|segment| book.found(segment, Class::SetAside));
        self.shared.returns.each(table, |segment| book.found(segment, Class::Returned));
        for ring in [&self.shared.hot, &self.shared.reserve] {
            ring.each(|segment| book.found(segment, Class::Free));
        }
        let account = book.account;
        self.book = book;
        account
    }
}
