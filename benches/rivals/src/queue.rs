//! What every queue must do to take part.

use crate::records::Reader;

/// A queue between two threads.
pub(crate) trait Queue {
    /// The sender's end.
    type Sender: Sender + Send;
    /// The consumer's end.
    type Receiver: Receiver + Send;

    /// A queue of at most `capacity` bytes of records, none longer than `longest`.
    fn open(capacity: usize, longest: usize) -> (Self::Sender, Self::Receiver);
}

/// The sender's end.
pub(crate) trait Sender {
    /// Copies a record in and publishes it. False: there is no room now.
    fn send(&mut self, record: &[u8]) -> bool;
}

/// The consumer's end.
pub(crate) trait Receiver {
    /// Shows what is there and frees it, about `enough` records or all that one look finds. False: there was nothing.
    fn drain(&mut self, enough: u64, reader: &mut Reader) -> bool;
}
