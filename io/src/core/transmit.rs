//! Bytes out: framing and record bytes interleaved, straight from where they are.

use forebay_engine::mutant;

use super::Core;
use super::ports::ConnId;
use super::report::Delivered;
use super::requests::{Kind, RequestId};
use crate::time::Time;

impl Core {
    /// Shows what is to be written to a connection, slice by slice and in order, from the first byte not yet written,
    /// until `push` answers false. Nothing is copied: the slices are framing buffers and slab memory.
    pub fn transmit<'a>(&'a self, conn: ConnId, mut push: impl FnMut(&'a [u8]) -> bool) {
        let Some(connection) = self.connection(conn) else { return };
        for id in &connection.queue {
            if !self.show(*id, &mut push) {
                return;
            }
        }
    }

    /// Whether there is anything to write to a connection.
    pub fn wants_write(&self, conn: ConnId) -> bool {
        self.connection(conn).is_some_and(|c| !c.queue.is_empty())
    }

    fn show<'a>(&'a self, id: RequestId, push: &mut impl FnMut(&'a [u8]) -> bool) -> bool {
        let request = self.requests.get(id);
        let mut skip = request.written;
        let mut show = |slice: &'a [u8]| {
            if skip >= slice.len() {
                skip -= slice.len();
                return true;
            }
            let from = std::mem::take(&mut skip);
            push(&slice[from..])
        };
        let mut from = 0;
        for (cut, batch) in request.cuts.iter().zip(&request.batches) {
            if !show(&request.framing[from..*cut]) {
                return false;
            }
            from = *cut;
            for slice in self.io.merged(&self.batches.get(*batch).runs) {
                if !show(slice) {
                    return false;
                }
            }
        }
        from == request.framing.len() || show(&request.framing[from..])
    }

    /// The first `n` bytes of what [`Core::transmit`] showed are with whoever encrypts them, and may get into the socket at any time
    /// from now on, in part or as a whole. [`Core::let_out`] is to follow before more is taken.
    ///
    /// A broker may answer them before that. So what is answered counts as written: if the connection is lost, nobody knows whether it
    /// was. What is not answered is delivered when it is written, and in doubt until then.
    pub fn taken(&mut self, conn: ConnId, mut n: usize, now: Time) {
        while n > 0 && !mutant!("what_is_encrypted_is_not_in_doubt") {
            let Some(id) = self.connection(conn).and_then(|c| c.queue.front()).copied() else { return };
            let request = self.requests.get(id);
            if !self.is_answered(request.kind) {
                break;
            }
            let step = n.min(request.len - request.written);
            self.written(conn, step, now);
            n -= step;
        }
        let Core { connections, requests, .. } = self;
        let Some(connection) = connections.get(conn.index()).and_then(Option::as_ref).filter(|c| c.id == conn) else {
            return;
        };
        for id in &connection.queue {
            let request = requests.get_mut(*id);
            request.taken = n.min(request.len - request.written);
            n -= request.taken;
        }
    }

    /// All that was taken is written.
    pub fn let_out(&mut self, conn: ConnId, now: Time) {
        let Some(connection) = self.connection(conn) else { return };
        let n = connection.queue.iter().map(|id| self.requests.get(*id).taken).sum();
        if n > 0 {
            self.written(conn, n, now);
        }
    }

    /// An answer has come, and nothing that was written waits for one: it is for what was taken behind records that are not answered. A
    /// broker reads in order, so that it has these as well.
    pub(super) fn heard_of_taken(&mut self, conn: ConnId, now: Time) {
        let Some(connection) = self.connection(conn) else { return };
        let mut n = 0;
        for id in &connection.queue {
            let request = self.requests.get(*id);
            if !request.may_arrive() {
                return;
            }
            n += request.len - request.written;
            if self.is_answered(request.kind) {
                return self.written(conn, n, now);
            }
        }
    }

    /// Whether a broker answers such a request.
    fn is_answered(&self, kind: Kind) -> bool {
        kind != Kind::Produce || self.answers()
    }

    /// The first `n` bytes of what [`Core::transmit`] showed were written.
    pub fn written(&mut self, conn: ConnId, mut n: usize, now: Time) {
        if let Some(broker) = self.connection(conn).map(|c| c.broker) {
            self.meter_bytes(broker, true, n, now);
        }
        while n > 0 {
            let Some(connection) = self.connection_mut(conn) else { return };
            let Some(id) = connection.queue.front().copied() else { return };
            let request = self.requests.get_mut(id);
            let step = n.min(request.len - request.written);
            request.written += step;
            request.taken = request.taken.saturating_sub(step);
            n -= step;
            let whole = request.is_written();
            let Some(connection) = self.connection_mut(conn) else { return };
            connection.unsent = connection.unsent.saturating_sub(step);
            connection.last_used = now;
            if whole {
                connection.queue.pop_front();
                self.sent(conn, id);
            }
        }
    }

    /// A request has been written as a whole.
    fn sent(&mut self, conn: ConnId, id: RequestId) {
        let request = self.requests.get(id);
        for batch in &request.batches {
            let batch = self.batches.get_mut(*batch);
            batch.written = true;
            batch.attempts = batch.attempts.saturating_add(1);
        }
        if self.is_answered(request.kind) {
            if let Some(connection) = self.connection_mut(conn) {
                connection.waiting.push_back(id);
            }
            return;
        }
        self.stirred = true;
        let departure = request.departure;
        if let Some(connection) = self.connection_mut(conn) {
            connection.produce_requests -= 1;
            connection.flow.ends(departure);
            let broker = connection.broker;
            self.meter_request_over(Some(broker));
        }
        let delivered = Ok(Delivered { base_offset: -1, log_append_time: -1 });
        let mut batches = std::mem::take(&mut self.scratch.batches);
        batches.extend_from_slice(&self.requests.get(id).batches);
        self.requests.remove(id);
        for batch in batches.drain(..) {
            self.leave_request(batch);
            self.batches.resolve(batch, &mut self.ledger, &delivered);
            self.batches.release(batch, &mut self.io, &mut self.ledger);
        }
        self.scratch.batches = batches;
    }
}
