//! The one allocation: `buffer.memory` bytes, mapped and touched at start, never grown.
//!
//! One of the two files with pointer work. Everything here hands out bytes by segment and offset; who may touch which
//! bytes is the business of the invariants I2 to I4 in the crate's page.

use crate::SlabError;
use crate::position::Position;
use crate::run::Run;
use std::ptr::NonNull;

/// The mapped memory. Segments are `1 << shift` bytes.
pub(crate) struct Slab {
    view: SlabView,
    #[cfg(not(loom))]
    map: memmap2::MmapMut,
    #[cfg(loom)]
    _map: Vec<u64>,
    #[cfg(loom)]
    witness: Witness,
}

/// Where the slab's bytes are: a copyable pointer for the hot path. Whoever holds one also holds the slab alive.
#[derive(Clone, Copy)]
pub(crate) struct SlabView {
    base: NonNull<u8>,
    shift: u32,
    bytes: usize,
}

// SAFETY: a view is an address; what may be touched through it, and when, is ruled by I2 to I4, which hold across threads.
unsafe impl Send for SlabView {}
// SAFETY: as for Send.
unsafe impl Sync for SlabView {}

impl Slab {
    /// Maps and touches `segments << shift` bytes.
    pub(crate) fn map(segments: usize, shift: u32) -> Result<Slab, SlabError> {
        let bytes = segments << shift;
        #[cfg(not(loom))]
        {
            let mut map = memmap2::MmapOptions::new()
                .len(bytes)
                .map_anon()
                .map_err(|source| SlabError::Unavailable { bytes, source })?;
            // Huge pages: fewer page faults at start, fewer TLB misses on a slab that is cycled through. Advice only.
            #[cfg(all(target_os = "linux", not(forebay_portable)))]
            if bytes >= 2 << 20 {
                let _ = map.advise(memmap2::Advice::HugePage);
            }
            // Touched now, so that no later `send` pays a page fault and a lack of memory shows at start.
            for page in map.chunks_mut(4096) {
                page[0] = std::hint::black_box(0);
            }
            let base = NonNull::new(map.as_mut_ptr()).ok_or(SlabError::Empty)?;
            Ok(Slab { view: SlabView { base, shift, bytes }, map })
        }
        #[cfg(loom)]
        {
            let mut map = vec![0u64; bytes.div_ceil(8)];
            let base = NonNull::new(map.as_mut_ptr().cast::<u8>()).ok_or(SlabError::Empty)?;
            Ok(Slab { view: SlabView { base, shift, bytes }, _map: map, witness: Witness::new(bytes) })
        }
    }

    /// Keeps the memory in RAM, so that no access to it ever waits for a disk.
    pub(crate) fn lock(&self) -> Result<(), SlabError> {
        #[cfg(all(unix, not(any(loom, forebay_portable))))]
        let locked = self.map.lock();
        #[cfg(all(any(not(unix), forebay_portable), not(loom)))]
        let locked = {
            let _ = &self.map; // only held
            Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
        };
        #[cfg(loom)]
        let locked = Ok(());
        locked.map_err(|source| SlabError::NotLocked { bytes: self.view.bytes, source })
    }

    pub(crate) fn view(&self) -> SlabView {
        self.view
    }

    /// The bytes of a run of this slab.
    pub(crate) fn run<'a>(&'a self, run: &'a Run) -> &'a [u8] {
        self.witness_read(run.segment, run.start, run.len);
        // SAFETY: I4: whoever holds the run owns its bytes; it is borrowed for reading as long as the slice lives.
        unsafe { self.view.slice(run.segment, run.start, run.len()) }
    }

    /// The bytes of a run of this slab, for writing: who may do that is who holds the run alone.
    pub(crate) fn run_mut<'a>(&'a self, run: &'a mut Run) -> &'a mut [u8] {
        self.witness_write(run.segment, run.start, run.len);
        // SAFETY: I4: the run is held exclusively for as long as the slice lives.
        unsafe { self.view.slice_mut(run.segment, run.start, run.len()) }
    }

    /// Tells the model checker that these bytes are written now; nothing outside loom.
    #[inline(always)]
    #[cfg_attr(not(loom), expect(clippy::unused_self, reason = "the witness is there under loom only"))]
    pub(crate) fn witness_write(&self, segment: u32, start: u32, len: u32) {
        #[cfg(loom)]
        self.witness.write(self.view.address(segment, start, len as usize), len as usize);
        #[cfg(not(loom))]
        let _ = (segment, start, len);
    }

    /// Tells the model checker that these bytes are read now; nothing outside loom.
    #[inline(always)]
    #[cfg_attr(not(loom), expect(clippy::unused_self, reason = "the witness is there under loom only"))]
    pub(crate) fn witness_read(&self, segment: u32, start: u32, len: u32) {
        #[cfg(loom)]
        self.witness.read(self.view.address(segment, start, len as usize), len as usize);
        #[cfg(not(loom))]
        let _ = (segment, start, len);
    }
}

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;
/// Bytes that are asked for at a time: two lines.
pub(crate) const PAIR: usize = 2 * LINE;

impl SlabView {
    #[inline]
    pub(crate) fn segment_size(self) -> u32 {
        1 << self.shift
    }

    #[inline]
    pub(crate) fn shift(self) -> u32 {
        self.shift
    }

    /// Where a stretch begins that lies in one segment, or in several that follow each other in memory.
    #[inline]
    fn address(self, segment: u32, start: u32, len: usize) -> usize {
        let at = ((segment as usize) << self.shift) + start as usize;
        debug_assert!(at + len <= self.bytes, "a stretch stays inside the slab");
        at
    }

    /// A segment's bytes, counted from its start. `segment` is one of the slab's.
    #[inline]
    pub(crate) fn segment(self, segment: u32) -> Origin {
        let at = self.address(segment, 0, 0);
        Origin { zero: self.base.as_ptr().wrapping_add(at) }
    }

    /// A segment's bytes, counted so that `start` is its first.
    #[inline]
    pub(crate) fn origin(self, segment: u32, start: Position) -> Origin {
        Origin { zero: self.segment(segment).zero.wrapping_sub(start.raw() as usize) }
    }

    /// Bytes of a segment and of those that follow it in memory, for reading.
    ///
    /// # Safety
    /// The caller owns `len` bytes from `start` of `segment` on by I2, I3 or I4 for `'a`, and nobody writes them meanwhile.
    #[inline]
    pub(crate) unsafe fn slice<'a>(self, segment: u32, start: u32, len: usize) -> &'a [u8] {
        let at = self.address(segment, start, len);
        // SAFETY: I1: `at + len` lies inside the mapping, which outlives every view.
        let first = unsafe { self.base.add(at) };
        // SAFETY: in bounds as above and zero-initialised by the mapping; unshared by the caller's promise.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), len) }
    }

    /// Bytes of a segment and of those that follow it in memory, for writing.
    ///
    /// # Safety
    /// The caller alone owns `len` bytes from `start` of `segment` on by I2, I3 or I4 for `'a`.
    #[inline]
    pub(crate) unsafe fn slice_mut<'a>(self, segment: u32, start: u32, len: usize) -> &'a mut [u8] {
        let at = self.address(segment, start, len);
        // SAFETY: I1: `at + len` lies inside the mapping, which outlives every view.
        let first = unsafe { self.base.add(at) };
        // SAFETY: in bounds as above and zero-initialised by the mapping; unshared by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), len) }
    }
}

/// Where the bytes of a segment are, and of those that follow it in memory, counted from somewhere: a place is so many bytes behind `zero`, which itself may lie anywhere. As
/// a [`SlabView`]: whoever holds one also holds the slab alive.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    zero: *mut u8,
}

// SAFETY: as for `SlabView`.
unsafe impl Send for Origin {}
// SAFETY: as for `SlabView`.
unsafe impl Sync for Origin {}

impl Origin {
    /// Asks for two cache lines from `at` on, and for two more so often in all, to write to them soon. Advice only: it changes nothing, may
    /// be given for bytes that are somebody else's, and does nothing where there is no such instruction.
    #[inline(always)]
    pub(crate) fn prefetch_write(self, at: u64, pairs: usize) {
        for pair in 0..pairs {
            prefetch_write_two(self.zero, at as usize + pair * PAIR);
        }
    }

    /// Bytes of the segments, for writing.
    ///
    /// # Safety
    /// `at..at + len` lies in the slab, and the caller alone owns it by I2, I3 or I4 for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn slice_mut<'a>(self, at: u64, len: usize) -> &'a mut [u8] {
        let first = self.zero.wrapping_add(at as usize);
        // SAFETY: inside the mapping by the caller's promise (I1), which is zero-initialised; unshared by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(first, len) }
    }
}

/// Asks for the cache line of an address, to write to it soon. Advice only, and nothing where there is no such instruction.
#[inline(always)]
pub(crate) fn prefetch_write<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, forebay_portable))))]
    // SAFETY: a prefetch reads and writes nothing, whatever its address. As an instruction of its own: the compiler makes of
    // its intrinsic one that asks for the line to read, unless it builds for a processor that is known to have this one.
    // All of 64 bits do; some old ones take it for none.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, forebay_portable)))))]
    let _ = address;
}

/// As [`prefetch_write`], of the line `at` bytes behind an address and of the one behind that. The processor adds all three.
#[inline(always)]
fn prefetch_write_two(address: *const u8, at: usize) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, forebay_portable))))]
    // SAFETY: as in `prefetch_write`.
    unsafe {
        std::arch::asm!(
            "prefetchw [{address} + {at}]",
            "prefetchw [{address} + {at} + {line}]",
            address = in(reg) address,
            at = in(reg) at,
            line = const LINE,
            options(nostack, preserves_flags, readonly),
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, forebay_portable)))))]
    let _ = (address, at);
}

/// A shadow of the slab in loom cells, one for eight bytes: a read or write that is not ordered after the last
/// write or read of the same bytes fails the model.
#[cfg(loom)]
struct Witness(Vec<loom::cell::UnsafeCell<()>>);

// SAFETY: the cells hold nothing, and loom, which runs one thread at a time, is there to say who touches them when.
#[cfg(loom)]
unsafe impl Sync for Witness {}

#[cfg(loom)]
impl Witness {
    fn new(bytes: usize) -> Self {
        Witness((0..bytes.div_ceil(8)).map(|_| loom::cell::UnsafeCell::new(())).collect())
    }

    fn cells(&self, at: usize, len: usize) -> &[loom::cell::UnsafeCell<()>] {
        if len == 0 { &[] } else { &self.0[at / 8..=(at + len - 1) / 8] }
    }

    fn write(&self, at: usize, len: usize) {
        for cell in self.cells(at, len) {
            cell.with_mut(|_| ());
        }
    }

    fn read(&self, at: usize, len: usize) {
        for cell in self.cells(at, len) {
            cell.with(|_| ());
        }
    }
}
