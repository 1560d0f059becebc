//! Debug builds only: the engine's account of its segments and the core's own books must agree.

use super::Core;

/// Segments looked at in one turn, on average: an account is a walk over the whole slab.
const PER_TURN: usize = 256;

impl Core {
    /// The end of a turn. Every turn for a slab of up to 1 MiB, else as often as keeps the walk's cost the same.
    ///
    /// Senders run on meanwhile, so what they have is whatever was found nowhere; that no segment has two owners is
    /// checked by the walk.
    pub(super) fn audit(&mut self) {
        self.audit_credit += PER_TURN;
        let total = self.io.total_segments();
        if self.audit_credit < total {
            return;
        }
        self.audit_credit = 0;
        // A check reads much and decides nothing: where each of its loads were a place for a switch, models would be of the check.
        #[cfg(loom)]
        loom::stop_exploring();
        let account = self.io.account();
        #[cfg(loom)]
        loom::explore();
        assert_eq!(account.total(), total, "every segment is somewhere: {account:?}");
        let runs: usize = self.batches.iter().map(|(_, batch)| self.segments_of(&batch.runs) + batch.lent).sum();
        assert_eq!(account.runs, runs, "every run is in a batch that lives, in flight or in quarantine: {account:?}");
        let watched: usize = self.active.iter().map(|number| self.partitions[*number as usize].lanes.len()).sum();
        assert!(account.open <= watched, "{watched} lanes are watched, only they have a segment open: {account:?}");
    }
}
