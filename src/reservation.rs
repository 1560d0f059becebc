//! Writing a record's value in place.

use crate::error::SendErrorKind;
use crate::{Header, Receipt};
use forebay_engine::Claim;
use forebay_io::wire::record::{self, Shape};
use std::fmt;
use std::io::{self, Write};

/// Room in the buffer for a record whose value the caller writes: through [`Reservation::value_mut`] where the value is
/// in one piece, or through [`Write`] in any case.
///
/// Dropped without [`commit`](Reservation::commit), it leaves no trace.
#[must_use = "a reservation that is not committed is given up"]
pub struct Reservation<'s, 'a> {
    claim: Claim<'s>,
    ordinal: &'s mut u64,
    receipt: Receipt,
    tail: Tail<'a>,
    /// Value bytes not written yet.
    left: usize,
}

/// What comes behind the value.
pub(crate) enum Tail<'a> {
    /// The application's headers.
    Headers(&'a [Header<'a>]),
    /// Headers that are encoded already.
    Encoded(Vec<u8>),
}

impl Tail<'_> {
    /// Of headers that do not live as long as the reservation.
    pub(crate) fn of(headers: &[Header<'_>]) -> Tail<'static> {
        let mut bytes = Vec::new();
        record::suffix_to(headers, &mut |piece: &[u8]| bytes.extend_from_slice(piece));
        Tail::Encoded(bytes)
    }
}

impl fmt::Debug for Reservation<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("receipt", &self.receipt)
            .field("remaining", &self.left)
            .finish_non_exhaustive()
    }
}

impl<'s, 'a> Reservation<'s, 'a> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a record, each from another place")]
    pub(crate) fn new(
        mut claim: Claim<'s>,
        ordinal: &'s mut u64,
        receipt: Receipt,
        key: Option<&[u8]>,
        tail: Tail<'a>,
        shape: &Shape,
        delta: i64,
        len: usize,
    ) -> Self {
        record::encode_prefix_to(shape, delta, key, Some(len), &mut |piece: &[u8]| claim.put(piece));
        Reservation { claim, ordinal, receipt, tail, left: len }
    }

    /// Bytes of the value that are not written yet.
    pub fn remaining(&self) -> usize {
        self.left
    }

    /// All of the value that is not written yet, in place: always there if the record fits a segment of the buffer (2 KiB)
    /// and nothing was written through [`Write`] yet; None if the value is in several pieces, which [`Write`] handles.
    ///
    /// Bytes that the caller leaves alone keep what an earlier record left there.
    pub fn value_mut(&mut self) -> Option<&mut [u8]> {
        let left = self.left;
        self.claim.chunk().get_mut(..left)
    }

    /// Publishes the record.
    ///
    /// # Errors
    /// `Closed` if the producer ended meanwhile: the record was not accepted.
    ///
    /// # Panics
    /// If the value is in several pieces and was not written to its end through [`Write`].
    pub fn commit(mut self) -> Result<Receipt, SendErrorKind> {
        if self.value_mut().is_some() {
            self.claim.advance(self.left);
        } else {
            assert!(self.left == 0, "a reserved value is written to its end before it is committed");
        }
        match &self.tail {
            Tail::Headers(headers) => record::suffix_to(headers, &mut |piece: &[u8]| self.claim.put(piece)),
            Tail::Encoded(bytes) => self.claim.put(bytes),
        }
        self.claim.commit()?;
        *self.ordinal += 1;
        Ok(self.receipt)
    }
}

impl Write for Reservation<'_, '_> {
    /// Appends to the value; less than `bytes` is taken when the reserved length is reached.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.left);
        self.claim.put(&bytes[..n]);
        self.left -= n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
