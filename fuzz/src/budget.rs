//! What reading hostile bytes may allocate: as much as the bytes that came deserve, not what they claim.

use cap::Cap;
use std::alloc::System;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// The largest element made of the fewest bytes (a broker of 11 bytes, a topic of 6), and the growth of vectors.
const FOR_A_BYTE: usize = 64;
/// Error texts, and the frame reader's first buffer.
const ALWAYS: usize = 8192;

/// Does something with `len` bytes of a peer; panics if more is allocated for it than they can be worth.
pub(crate) fn within<T>(len: usize, work: impl FnOnce() -> T) -> T {
    let before = MEMORY.total_allocated();
    let result = work();
    let allocated = MEMORY.total_allocated() - before;
    assert!(allocated <= ALWAYS + FOR_A_BYTE * len, "{allocated} bytes allocated for {len} bytes");
    result
}
