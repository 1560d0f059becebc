//! Requests on their way: framing bytes here, record bytes still in the slab.

use super::batch::BatchId;
use super::flow::Departure;
use crate::time::Time;

/// Index of a request in the pool.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct RequestId(pub(crate) u32);

/// What a request asks, and so how its answer is read.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    ApiVersions,
    Metadata,
    InitProducerId,
    SaslHandshake,
    SaslAuthenticate,
    Produce,
}

pub(crate) struct Outgoing {
    pub(crate) kind: Kind,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    /// When it was put in its connection's queue.
    pub(crate) created: Time,
    pub(crate) deadline: Time,
    /// Everything but the records.
    pub(crate) framing: Vec<u8>,
    /// Positions in `framing` after which the records of batch number i go.
    pub(crate) cuts: Vec<usize>,
    pub(crate) batches: Vec<BatchId>,
    /// The topic ids of `batches` as they were when the request was made.
    pub(crate) topic_ids: Vec<[u8; 16]>,
    /// Bytes on the wire, records included.
    pub(crate) len: usize,
    /// Bytes that a socket has accepted.
    pub(crate) written: usize,
    /// Bytes behind those that whoever encrypts has, who may get them into the socket at any time.
    pub(crate) taken: usize,
    /// For the measure of the link that its answer gives.
    pub(crate) departure: Departure,
}

impl Outgoing {
    pub(crate) fn is_written(&self) -> bool {
        self.written == self.len
    }

    /// Whether a broker may have, or get, all of it.
    pub(crate) fn may_arrive(&self) -> bool {
        self.written + self.taken >= self.len
    }
}

/// All requests. Slots keep their buffers, so a steady state allocates nothing.
#[derive(Default)]
pub(crate) struct Requests {
    slots: Vec<Outgoing>,
    free: Vec<u32>,
}

impl Requests {
    pub(crate) fn add(&mut self, kind: Kind) -> RequestId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Outgoing {
                kind,
                version: 0,
                correlation: 0,
                created: Time::ZERO,
                deadline: Time::MAX,
                framing: Vec::new(),
                cuts: Vec::new(),
                batches: Vec::new(),
                topic_ids: Vec::new(),
                len: 0,
                written: 0,
                taken: 0,
                departure: Departure::default(),
            });
            self.free.reserve(self.slots.capacity());
            (self.slots.len() - 1) as u32
        });
        self.slots[index as usize].kind = kind;
        RequestId(index)
    }

    pub(crate) fn get(&self, id: RequestId) -> &Outgoing {
        &self.slots[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> &mut Outgoing {
        &mut self.slots[id.0 as usize]
    }

    pub(crate) fn remove(&mut self, id: RequestId) {
        let request = self.get_mut(id);
        if request.kind == Kind::SaslAuthenticate {
            // A password may be in it, and the buffer is kept for the next request.
            request.framing.fill(0);
        }
        request.framing.clear();
        request.cuts.clear();
        request.batches.clear();
        request.topic_ids.clear();
        request.len = 0;
        request.written = 0;
        request.taken = 0;
        self.free.push(id.0);
    }
}
