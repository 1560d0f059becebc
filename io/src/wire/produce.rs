//! Produce, v3 to v13: requests framed around record bytes that stay where they are, responses read in place.

use super::batch::{BATCH_HEADER_LEN, BatchHeader};
use super::error::WireError;
use super::error_code::ErrorCode;
use super::reader::Reader;
use super::varint::{MAX_LEN_64, put64};
use super::versions::{ApiKey, check, is_flexible};

/// The first version whose topics go by id.
const BY_ID: i16 = 13;

/// The fixed part of a Produce request.
#[derive(Copy, Clone, Debug)]
pub struct ProduceHead<'a> {
    /// 3 to 13.
    pub version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// The client's name in the broker's logs, metrics and quotas; at most 32,767 bytes.
    pub client_id: &'a str,
    /// 0 none (the broker does not answer at all), 1 leader, −1 all in-sync replicas.
    pub acks: i16,
    /// How long the broker may wait for the replicas, in milliseconds.
    pub timeout_ms: i32,
}

/// Writes a Produce request into a buffer, leaving out the record bytes: those are sent from where they are.
///
/// [`partition`](Self::partition) returns the position in the buffer where they belong. The buffer may hold other
/// requests before this one.
#[derive(Debug)]
#[must_use = "the request is not complete before `finish`"]
pub struct ProduceFraming<'b> {
    buf: &'b mut Vec<u8>,
    start: usize,
    /// Bytes of the request that are not in the buffer.
    outside: usize,
    version: i16,
    flexible: bool,
    #[cfg(debug_assertions)]
    owed: (usize, usize),
}

impl<'b> ProduceFraming<'b> {
    /// Begins a request with `topic_count` topics at the end of `buf`.
    ///
    /// # Errors
    /// A version that this codec does not speak, or a client id that does not fit. The buffer is as it was.
    pub fn begin(buf: &'b mut Vec<u8>, head: &ProduceHead<'_>, topic_count: usize) -> Result<Self, WireError> {
        let version = head.version;
        check(ApiKey::Produce, version)?;
        let client_id_len = i16::try_from(head.client_id.len()).map_err(|_| WireError::Encode {
            api: ApiKey::Produce,
            version,
            why: format!("client id of {} bytes", head.client_id.len()),
        })?;
        let flexible = is_flexible(ApiKey::Produce, version);
        let start = buf.len();
        buf.extend_from_slice(&[0; 4]); // the size, patched by `finish`
        buf.extend_from_slice(&(ApiKey::Produce as i16).to_be_bytes());
        buf.extend_from_slice(&version.to_be_bytes());
        buf.extend_from_slice(&head.correlation_id.to_be_bytes());
        // The client id keeps its 16-bit length in flexible versions (KIP-511).
        buf.extend_from_slice(&client_id_len.to_be_bytes());
        buf.extend_from_slice(head.client_id.as_bytes());
        let mut framing = Self {
            buf,
            start,
            outside: 0,
            version,
            flexible,
            #[cfg(debug_assertions)]
            owed: (topic_count, 0),
        };
        framing.no_tags();
        // transactional id: null
        if flexible {
            framing.buf.push(0);
        } else {
            framing.buf.extend_from_slice(&(-1i16).to_be_bytes());
        }
        framing.buf.extend_from_slice(&head.acks.to_be_bytes());
        framing.buf.extend_from_slice(&head.timeout_ms.to_be_bytes());
        framing.count(topic_count);
        Ok(framing)
    }

    /// Begins a topic with `partition_count` partitions: by `name` up to v12, by `id` in v13.
    ///
    /// A name is the user's, but the broker's limit of 249 bytes is far below what fits here; longer ones must be
    /// refused before (a name of more than 32,767 bytes would be cut to an empty one, which the broker refuses).
    pub fn topic(&mut self, name: &str, id: [u8; 16], partition_count: usize) {
        if self.version >= BY_ID {
            self.buf.extend_from_slice(&id);
        } else if self.flexible {
            self.uvarint(name.len() + 1);
            self.buf.extend_from_slice(name.as_bytes());
        } else {
            let (len, name) = i16::try_from(name.len()).map_or((0, ""), |len| (len, name));
            self.buf.extend_from_slice(&len.to_be_bytes());
            self.buf.extend_from_slice(name.as_bytes());
        }
        self.count(partition_count);
        #[cfg(debug_assertions)]
        {
            assert!(self.owed.0 > 0 && self.owed.1 == 0, "more topics than stated, or too few partitions");
            self.owed = (self.owed.0 - 1, partition_count);
        }
    }

    /// Begins a partition whose record set is `batch_len` bytes long, batch header included, all of them outside the
    /// buffer. Returns the position in the buffer after which they go.
    pub fn partition(&mut self, index: i32, batch_len: usize) -> usize {
        #[cfg(debug_assertions)]
        {
            assert!(self.owed.1 > 0, "more partitions than stated");
            self.owed.1 -= 1;
        }
        self.buf.extend_from_slice(&index.to_be_bytes());
        if self.flexible {
            self.uvarint(batch_len + 1);
        } else {
            // `finish` refuses a request of more than i32::MAX bytes, and so a batch of that size.
            self.buf.extend_from_slice(&(batch_len as i32).to_be_bytes());
        }
        self.outside += batch_len;
        self.buf.len()
    }

    /// As [`partition`](Self::partition), with the batch header in the buffer: only the `header.records_len` bytes of
    /// the records go after the position returned.
    pub fn partition_with_header(&mut self, index: i32, header: &BatchHeader) -> usize {
        self.partition(index, BATCH_HEADER_LEN + header.records_len);
        self.outside -= BATCH_HEADER_LEN;
        self.buf.extend_from_slice(&header.encode());
        self.buf.len()
    }

    /// Ends a partition.
    pub fn end_partition(&mut self) {
        self.no_tags();
    }

    /// Ends a topic.
    pub fn end_topic(&mut self) {
        self.no_tags();
    }

    /// Ends the request and writes its size. Returns the bytes of the whole frame, those outside the buffer included.
    ///
    /// # Errors
    /// [`WireError::RequestTooLarge`] if that is more than the protocol can say. The buffer is cut back to where the
    /// request began.
    pub fn finish(mut self) -> Result<usize, WireError> {
        #[cfg(debug_assertions)]
        assert_eq!(self.owed, (0, 0), "fewer topics or partitions than stated");
        self.no_tags();
        let len = self.buf.len() - self.start + self.outside;
        let Ok(size) = i32::try_from(len - 4) else {
            self.buf.truncate(self.start);
            return Err(WireError::RequestTooLarge { len });
        };
        if let Some(field) = self.buf[self.start..].first_chunk_mut::<4>() {
            *field = size.to_be_bytes();
        }
        Ok(len)
    }

    fn no_tags(&mut self) {
        if self.flexible {
            self.buf.push(0);
        }
    }

    fn count(&mut self, n: usize) {
        if self.flexible {
            self.uvarint(n + 1);
        } else {
            self.buf.extend_from_slice(&(n as i32).to_be_bytes());
        }
    }

    fn uvarint(&mut self, n: usize) {
        let mut varint = [0; MAX_LEN_64];
        let len = put64(&mut varint, n as u64);
        self.buf.extend_from_slice(&varint[..len]);
    }
}

/// How a response names a topic: by name up to v12, by id in v13.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TopicRef<'a> {
    /// The topic's name.
    Name(&'a str),
    /// The topic's id.
    Id([u8; 16]),
}

/// A broker's answer for one partition.
#[derive(Clone, Debug)]
pub struct PartitionResponse<'a> {
    /// The topic.
    pub topic: TopicRef<'a>,
    /// The partition.
    pub index: i32,
    /// What became of the batch.
    pub error_code: ErrorCode,
    /// The offset of the batch's first record, −1 if there is none.
    pub base_offset: i64,
    /// When the broker appended the batch, in ms since 1970, if the topic uses append time; else −1.
    pub log_append_time_ms: i64,
    /// The first offset of the log (v5 and later), else −1.
    pub log_start_offset: i64,
    /// The records that the broker found invalid (v8 and later).
    pub record_errors: RecordErrors<'a>,
    /// What the broker says about the error (v8 and later).
    pub error_message: Option<&'a str>,
    /// The leader's id and epoch, when the broker is not the leader and knows who is (v10 and later, KIP-951).
    pub current_leader: Option<(i32, i32)>,
}

/// The records of a batch that a broker found invalid: index in the batch and message.
#[derive(Clone, Debug)]
pub struct RecordErrors<'a> {
    left: usize,
    reader: Reader<'a>,
}

impl<'a> RecordErrors<'a> {
    fn read_one(reader: &mut Reader<'a>) -> Result<(i32, Option<&'a str>), WireError> {
        let index = reader.i32("batch index")?;
        let message = reader.nullable_string("record error message")?;
        reader.skip_tags()?;
        Ok((index, message))
    }
}

impl<'a> Iterator for RecordErrors<'a> {
    type Item = (i32, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // The bytes were read once already, so this does not fail.
        Self::read_one(&mut self.reader).ok()
    }
}

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// The broker's id.
    pub node_id: i32,
    /// Its host name.
    pub host: String,
    /// Its port.
    pub port: i32,
}

/// The part of a Produce response that is not about one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProduceResponse {
    /// How long the broker holds back its answers because of a quota, in milliseconds.
    pub throttle_ms: i32,
    /// The endpoints of the current leaders named in the answer (v10 and later, KIP-951). Usually empty.
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// Reads a Produce response (what follows the correlation id). `on_partition` is called for each partition, in order, and
/// only if the whole response is well-formed. Bytes after the end are ignored, as in Kafka's own clients.
///
/// # Errors
/// The first violation of the protocol that was found.
pub fn parse_response(
    version: i16,
    body: &[u8],
    mut on_partition: impl FnMut(PartitionResponse<'_>),
) -> Result<ProduceResponse, WireError> {
    check(ApiKey::Produce, version)?;
    // A first pass that only checks: half a response must not be acted upon. It costs some ten nanoseconds a partition.
    read_response(version, body, &mut |_| {})?;
    read_response(version, body, &mut on_partition)
}

fn read_response<'a>(
    version: i16,
    body: &'a [u8],
    on_partition: &mut impl FnMut(PartitionResponse<'a>),
) -> Result<ProduceResponse, WireError> {
    let mut r = Reader::new(body, is_flexible(ApiKey::Produce, version));
    r.skip_tags()?; // of the response header
    for _ in 0..r.count("responses")? {
        let topic =
            if version >= BY_ID { TopicRef::Id(r.uuid("topic id")?) } else { TopicRef::Name(r.string("topic")?) };
        for _ in 0..r.count("partition responses")? {
            on_partition(read_partition(version, topic, &mut r)?);
        }
        r.skip_tags()?;
    }
    let mut response = ProduceResponse { throttle_ms: r.i32("throttle time")?, node_endpoints: Vec::new() };
    r.tags(|tag, mut field| {
        if tag == 0 && version >= 10 {
            for _ in 0..field.count("node endpoints")? {
                response.node_endpoints.push(read_endpoint(&mut field)?);
            }
        }
        Ok(())
    })?;
    Ok(response)
}

fn read_partition<'a>(
    version: i16,
    topic: TopicRef<'a>,
    r: &mut Reader<'a>,
) -> Result<PartitionResponse<'a>, WireError> {
    let mut partition = PartitionResponse {
        topic,
        index: r.i32("partition index")?,
        error_code: ErrorCode(r.i16("error code")?),
        base_offset: r.i64("base offset")?,
        log_append_time_ms: r.i64("log append time")?,
        log_start_offset: if version >= 5 { r.i64("log start offset")? } else { -1 },
        record_errors: RecordErrors { left: 0, reader: Reader::new(&[], r.flexible()) },
        error_message: None,
        current_leader: None,
    };
    if version >= 8 {
        let left = r.nullable_count("record errors")?.unwrap_or(0);
        partition.record_errors = RecordErrors { left, reader: *r };
        for _ in 0..left {
            RecordErrors::read_one(r)?;
        }
        partition.error_message = r.nullable_string("error message")?;
    }
    r.tags(|tag, mut field| {
        if tag == 0 && version >= 10 {
            let leader = (field.i32("leader id")?, field.i32("leader epoch")?);
            partition.current_leader = Some(leader).filter(|&(id, epoch)| id >= 0 && epoch >= 0);
        }
        Ok(())
    })?;
    Ok(partition)
}

fn read_endpoint(r: &mut Reader<'_>) -> Result<NodeEndpoint, WireError> {
    let node_id = r.i32("node id")?;
    let host = r.string("host")?.to_owned();
    let port = r.i32("port")?;
    r.nullable_string("rack")?;
    r.skip_tags()?;
    Ok(NodeEndpoint { node_id, host, port })
}
