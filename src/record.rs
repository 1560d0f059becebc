//! What is sent: a borrowed record, copied once, into the buffer.

pub use forebay_io::wire::record::RecordHeader as Header;

/// A topic of one producer: two small numbers to be copied around. Made by [`Producer::topic`](crate::Producer::topic); no other
/// producer takes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Topic {
    pub(crate) id: forebay_io::topics::TopicId,
    /// The producer's number.
    pub(crate) producer: u32,
}

impl Topic {
    /// Its place in its producer's table.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.id.0 as usize
    }
}

/// A record to be sent. It borrows everything; `send` copies it into the buffer before it returns.
///
/// ```
/// # fn demo(orders: forebay::Topic) {
/// use forebay::Record;
/// let record = Record::to(orders).key(b"customer-7").value(b"12.50");
/// assert_eq!(record.value, Some(&b"12.50"[..]));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a record does nothing until it is sent"]
pub struct Record<'a> {
    /// Where it goes.
    pub topic: Topic,
    /// The partition, if the caller chooses it; otherwise the partitioner does.
    pub partition: Option<u32>,
    /// The key. None and empty are different keys.
    pub key: Option<&'a [u8]>,
    /// The value. None is a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Headers, in order; Kafka allows a name more than once.
    pub headers: &'a [Header<'a>],
    /// Create time in milliseconds since 1970 (UTC). None: the time of the `send`, by a clock that is a few milliseconds behind, and
    /// more only while the I/O thread gets no processor. A negative one is refused ([`SendErrorKind::InvalidTimestamp`]).
    ///
    /// [`SendErrorKind::InvalidTimestamp`]: crate::SendErrorKind::InvalidTimestamp
    pub timestamp: Option<i64>,
}

impl<'a> Record<'a> {
    /// A record for `topic` without key and value.
    #[inline]
    pub fn to(topic: Topic) -> Self {
        Record { topic, partition: None, key: None, value: None, headers: &[], timestamp: None }
    }

    /// Chooses the partition.
    #[inline]
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the key.
    #[inline]
    pub fn key(mut self, key: &'a [u8]) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets the value.
    #[inline]
    pub fn value(mut self, value: &'a [u8]) -> Self {
        self.value = Some(value);
        self
    }

    /// Sets the headers.
    #[inline]
    pub fn headers(mut self, headers: &'a [Header<'a>]) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the create time, in milliseconds since 1970 (UTC); 0 or more.
    #[inline]
    pub fn timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}
