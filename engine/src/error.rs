//! What can go wrong, sorted by what the caller can do next.

/// Why a claim was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Not enough is free now, or an older sender waits: wait for so many segments, or try later.
    #[error("the buffer is full: {segments} more segments are needed")]
    Full {
        /// What to ask [`ProducerEnd::begin_wait`](crate::ProducerEnd::begin_wait) for.
        segments: u32,
    },
    /// No amount of waiting helps: it is larger than all memory, or has no byte.
    #[error("the record is larger than the whole buffer of {limit} bytes")]
    NeverFits {
        /// The slab's bytes.
        limit: usize,
    },
    /// The I/O side has closed the engine, or is gone.
    #[error("the buffer is closed")]
    Closed,
}

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum SlabError {
    /// The system refused the memory.
    #[error(
        "{bytes} bytes of buffer memory could not be mapped: {source}; lower buffer.memory or raise the memory limit"
    )]
    Unavailable {
        /// What was asked for.
        bytes: usize,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The system refused to keep the memory in RAM.
    #[error(
        "{bytes} bytes of buffer memory could not be locked in RAM (memory.lock): {source}; raise the limit on locked memory (ulimit -l, LimitMEMLOCK=) or set memory.lock=false"
    )]
    NotLocked {
        /// What was to be locked.
        bytes: usize,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Less than one segment.
    #[error("the buffer memory is smaller than one segment; raise buffer.memory")]
    Empty,
    /// Not a power of two, or too large.
    #[error("a segment of {segment_size} bytes is not a power of two of at most 1 GiB")]
    SegmentSize {
        /// What was asked for.
        segment_size: usize,
    },
    /// More segments than can be numbered.
    #[error("{segments} segments are too many; use larger segments")]
    TooManySegments {
        /// How many it would be.
        segments: usize,
    },
}
