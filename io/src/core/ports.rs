//! What goes in and out of the core beside bytes: the types of its seam.

use std::sync::Arc;

use crate::time::Time;
use crate::topics::TopicId;

/// A connection that the core asked for. The number of a closed one is used again with another generation.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct ConnId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// A dense index: at most one open connection has it at a time.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// A number that no other connection of the core has.
    pub fn unique(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }
}

/// What the core wants of its driver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Open a connection; answer with `connected` or `closed`.
    Connect {
        /// Its name from now on.
        conn: ConnId,
        /// Host name or address, without brackets.
        host: Arc<str>,
        /// TCP port.
        port: u16,
        /// Counts the attempts for this broker: of a name's n addresses take number `attempt % n`.
        attempt: u32,
    },
    /// Say who we are; answer with `credentials`. Only with `CoreConfig::sasl`.
    Credentials {
        /// For which connection.
        conn: ConnId,
    },
    /// Close a connection (or give up opening it); answer with `closed` once no byte can be written any more.
    Close {
        /// Which one.
        conn: ConnId,
    },
}

/// What application threads ask of the core.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Somebody waits for the partitions of this topic.
    WantTopic(TopicId),
    /// Somebody waits for a partition that this topic has not had so far: it may have grown.
    WantMore(TopicId),
    /// Send everything published so far at once; a [`Flushed`] with the token follows when all of it has an outcome.
    Flush {
        /// Chosen by the caller.
        token: u64,
    },
    /// Take no more records, deliver what is there, fail what is left at the deadline.
    Close {
        /// When to give up. A later request may bring it forward.
        deadline: Time,
    },
}

/// A flush is complete: every record published before it has been reported.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Flushed {
    /// The token of the request.
    pub token: u64,
    /// How many of those records failed while the flush was waiting.
    pub failed: u64,
}

/// How long the driver may sleep, if nothing happens on its sockets and nobody rings. The earlier, the less.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Wake {
    /// Not at all: take another turn.
    Now,
    /// Not at all, though nothing is to be done: senders may have more at any moment (`io.spin.us`). Take another turn; whoever waits for
    /// this processor may have it before.
    Spin,
    /// Until then.
    At(Time),
    /// For good.
    Never,
}
