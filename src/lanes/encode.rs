//! From a planned record to bytes in its lane.

use super::plan::Plan;
use super::topic::OpenLane;
use crate::{Receipt, Record};
use forebay_engine::{Claim, ClaimError};
use forebay_io::wire::record;

/// Encodes a record into its lane's open segment and publishes it. None if it does not fit there, or the lane is not
/// what it was: nothing has happened then.
#[inline(always)]
pub(super) fn write_here(open: &mut OpenLane, sender: u32, record: &Record<'_>, plan: &Plan) -> Option<Receipt> {
    open.lane.set_window(plan.window);
    let mut claim = open.lane.claim_here(plan.shape.total_len, plan.ahead)?;
    let delta = plan.timestamp.wrapping_sub(plan.window);
    record::encode(&plan.shape, delta, record.key, record.value, record.headers, claim.chunk());
    // Refused: the I/O side has ended, and what comes next will be told so.
    claim.commit().ok()?;
    Some(open.receipt(sender, plan.timestamp))
}

/// A record of at most so many bytes that goes over the end of a segment is encoded in one piece and then copied.
const ASIDE: usize = 256;

/// Encodes a record into its claim and publishes it.
pub(super) fn encode(mut claim: Claim<'_>, record: &Record<'_>, plan: &Plan) -> Result<(), ClaimError> {
    let delta = plan.timestamp.wrapping_sub(plan.window);
    let total = plan.shape.total_len;
    let chunk = claim.chunk();
    if chunk.len() == total {
        record::encode(&plan.shape, delta, record.key, record.value, record.headers, chunk);
    } else if let Some(aside) = [0; ASIDE].get_mut(..total) {
        record::encode(&plan.shape, delta, record.key, record.value, record.headers, aside);
        claim.put(aside);
    } else {
        record::encode_to(&plan.shape, delta, record.key, record.value, record.headers, &mut |piece: &[u8]| {
            claim.put(piece);
        });
    }
    claim.commit()
}
