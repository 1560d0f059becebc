//! What senders, the I/O thread and the clock may do, and how a list of it is drawn.

use forebay_engine::Sleep;
use proptest::prelude::*;

/// Sending threads.
pub(crate) const SENDERS: usize = 3;
/// Lanes of each.
pub(crate) const LANES: usize = 2;

/// One operation. Numbers of senders, lanes and runs are taken modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// A record, written while other things happen.
    Record { lane: usize, size: usize, how: How, meanwhile: Vec<Step>, end: End },
    /// Records of a lane belong to another window from now on.
    Window { lane: usize, window: u8 },
    /// A lane's producer end goes.
    DropLane { lane: usize },
    /// A sender goes with its lanes, waiting or not, and another comes.
    ReplaceSender { sender: usize },
    /// Something that may also happen while a record is being written.
    Step(Step),
}

/// Where the segments of a claim come from, if it needs any.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// The free rings.
    Free,
    /// A grant, if the sender has one, from the start.
    Granted,
    /// A grant, if the sender has one and the claim was refused without it.
    Offered,
}

/// How a claim ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Commit,
    /// After so many bytes of it were written.
    Abort(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The I/O side meets lanes that came to life.
    Collect,
    /// Takes up to so many bytes of an active lane: a batch that is full leaves the rest.
    Take {
        lane: usize,
        most: usize,
    },
    /// A broker's answer: any of the runs that are held goes back.
    Answer {
        run: usize,
    },
    /// A run is sent again: its bytes are what they were, and are stamped anew.
    Retry {
        run: usize,
    },
    /// A batch is divided.
    Split {
        run: usize,
        at: usize,
    },
    Settle,
    Retire,
    Sleep(Sleep),
    Close,
    Finish,
    /// A sender queues for memory.
    Wait {
        sender: usize,
        segments: u32,
    },
    /// Its `max.block.ms` is over.
    Deadline {
        sender: usize,
    },
    /// It has no use for its grant.
    DropGrant {
        sender: usize,
    },
    Nudge,
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let lane = 0..SENDERS * LANES;
    let size = prop_oneof![4 => 1_usize..=64, 3 => 1_usize..=300, 1 => 1_usize..=2000];
    let how = prop_oneof![4 => Just(How::Free), 1 => Just(How::Granted), 2 => Just(How::Offered)];
    let meanwhile = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(step(), 1..4)];
    let end = prop_oneof![4 => Just(End::Commit), 1 => (0_usize..400).prop_map(End::Abort)];
    let record = (lane.clone(), size, how, meanwhile, end)
        .prop_map(|(lane, size, how, meanwhile, end)| Operation::Record { lane, size, how, meanwhile, end });
    prop_oneof![
        16 => record,
        2 => (lane.clone(), 0_u8..4).prop_map(|(lane, window)| Operation::Window { lane, window }),
        1 => lane.prop_map(|lane| Operation::DropLane { lane }),
        1 => (0..SENDERS).prop_map(|sender| Operation::ReplaceSender { sender }),
        24 => step().prop_map(Operation::Step),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let most = prop_oneof![1_usize..=200, Just(usize::MAX)];
    let how = prop_oneof![Just(Sleep::Nap), Just(Sleep::Blocked), Just(Sleep::Deep)];
    prop_oneof![
        12 => Just(Step::Collect),
        40 => (0..SENDERS * LANES, most).prop_map(|(lane, most)| Step::Take { lane, most }),
        50 => (0_usize..64).prop_map(|run| Step::Answer { run }),
        10 => (0_usize..64).prop_map(|run| Step::Retry { run }),
        10 => (0_usize..64, 1_usize..64).prop_map(|(run, at)| Step::Split { run, at }),
        30 => Just(Step::Settle),
        25 => Just(Step::Retire),
        10 => how.prop_map(Step::Sleep),
        1 => Just(Step::Close),
        1 => Just(Step::Finish),
        20 => (0..SENDERS, 1_u32..=26).prop_map(|(sender, segments)| Step::Wait { sender, segments }),
        8 => (0..SENDERS).prop_map(|sender| Step::Deadline { sender }),
        4 => (0..SENDERS).prop_map(|sender| Step::DropGrant { sender }),
        2 => Just(Step::Nudge),
    ]
}
