//! When the hot ring is put in order: once a round. No memory, no atomics.

/// A ring with fewer segments is not put in order each time that it has gone round.
const LEAST: usize = 64;

/// Counts the segments that are put into a ring. It has gone round when these are as many as it holds.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    put: usize,
    /// The ring is looked at again when so many were put.
    look: usize,
}

impl Rounds {
    /// More are put into a ring that holds `len`: whether it has gone round. That is asked for seldom, as takers write where it stands.
    pub(crate) fn is_over(&mut self, put: usize, len: impl FnOnce() -> usize) -> bool {
        self.put += put;
        if self.put < self.look.max(LEAST) {
            return false;
        }
        self.look = len();
        let over = self.put >= self.look;
        if over {
            self.put = 0;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_over_when_as_many_were_put_as_the_ring_holds() {
        let mut rounds = Rounds::default();
        assert!(!rounds.is_over(LEAST - 1, || panic!("too early to look")));
        assert!(!rounds.is_over(1, || 100), "the ring holds more");
        assert!(!rounds.is_over(35, || panic!("known to hold more")));
        assert!(rounds.is_over(1, || 90));
        assert!(!rounds.is_over(89, || panic!("known to hold more")));
        assert!(rounds.is_over(1, || 10));
        assert!(!rounds.is_over(LEAST - 1, || panic!("too early to look")));
        assert!(rounds.is_over(1, || 10));
    }
}
