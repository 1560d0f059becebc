//! The control messages of a producer: `ApiVersions`, Metadata and `InitProducerId`.
//!
//! Requests are written by the kafka-protocol crate. Responses are read here: the crate's decoder (0.18) reserves memory
//! for as many array elements as the peer *states*, so that 10 bytes could ask for gigabytes.

use kafka_protocol::messages::{
    ApiVersionsRequest, InitProducerIdRequest, MetadataRequest, RequestHeader, TopicName,
    metadata_request::MetadataRequestTopic,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::error::WireError;
use super::error_code::ErrorCode;
use super::reader::Reader;
use super::versions::{ApiKey, VersionRange, check, is_flexible};

/// Which request this is, for every control message.
#[derive(Copy, Clone, Debug)]
pub struct RequestId<'a> {
    /// The version of the API.
    pub version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// The client's name in the broker's logs, metrics and quotas.
    pub client_id: &'a str,
}

/// The versions of one API that a broker speaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ApiRange {
    /// The API's number.
    pub api_key: i16,
    /// The lowest version.
    pub min: i16,
    /// The highest version.
    pub max: i16,
}

/// A broker's answer to `ApiVersions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersions {
    /// On [`ErrorCode::UNSUPPORTED_VERSION`] ask again with version 0.
    pub error: ErrorCode,
    /// What the broker speaks.
    pub ranges: Vec<ApiRange>,
    /// How long the broker holds back its answers because of a quota, in milliseconds.
    pub throttle_ms: i32,
}

impl ApiVersions {
    /// The broker's range for an API; `None` if it does not know it.
    pub fn range(&self, api: ApiKey) -> Option<VersionRange> {
        let found = self.ranges.iter().find(|r| r.api_key == api as i16)?;
        Some(VersionRange { min: found.min, max: found.max })
    }
}

/// A broker of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub node_id: i32,
    /// Its host name, as it advertises itself.
    pub host: String,
    /// Its port.
    pub port: i32,
}

/// A broker's answer to Metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The error of the whole answer (v13 and later).
    pub error: ErrorCode,
    /// The brokers that are alive.
    pub brokers: Vec<Broker>,
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The controller's broker id, −1 if unknown.
    pub controller: i32,
    /// The topics asked for.
    pub topics: Vec<TopicMeta>,
    /// How long the broker holds back its answers because of a quota, in milliseconds.
    pub throttle_ms: i32,
}

/// A topic in a [`Metadata`] answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMeta {
    /// The topic's error.
    pub error: ErrorCode,
    /// The name; `None` only if the topic was asked for by an id that the broker does not know.
    pub name: Option<String>,
    /// The id (v10 and later), else all zeros.
    pub id: [u8; 16],
    /// The partitions, in the broker's order, which need not be that of their numbers.
    pub partitions: Vec<PartitionMeta>,
}

/// A partition in a [`Metadata`] answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PartitionMeta {
    /// The partition's error.
    pub error: ErrorCode,
    /// Its number.
    pub index: i32,
    /// The broker id of its leader, −1 if it has none.
    pub leader: i32,
    /// The leader's epoch (v7 and later), else −1.
    pub leader_epoch: i32,
}

/// What makes an idempotent producer's sequence numbers its own.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ProducerIdAndEpoch {
    /// The producer id.
    pub producer_id: i64,
    /// The epoch.
    pub epoch: i16,
}

/// A broker's answer to `InitProducerId`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct InitProducerId {
    /// The error, if the rest is not to be used.
    pub error: ErrorCode,
    /// The id and epoch.
    pub producer: ProducerIdAndEpoch,
    /// How long the broker holds back its answers because of a quota, in milliseconds.
    pub throttle_ms: i32,
}

/// Appends an `ApiVersions` request (v0 to v4) to `buf`, as a whole frame. The software name and version go into the
/// broker's connection metrics (KIP-511) from v3 on.
///
/// # Errors
/// A version that this codec does not speak, or a string that does not fit.
pub fn encode_api_versions(buf: &mut Vec<u8>, id: RequestId<'_>) -> Result<(), WireError> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("forebay"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let request = if id.version >= 3 { request } else { ApiVersionsRequest::default() };
    encode(buf, ApiKey::ApiVersions, id, &request)
}

/// Appends a Metadata request (v4 to v13) for `topics` to `buf`, as a whole frame. No topics means none, not all: the
/// answer then has the brokers alone.
///
/// # Errors
/// A version that this codec does not speak, or a string that does not fit.
pub fn encode_metadata<'t>(
    buf: &mut Vec<u8>,
    id: RequestId<'_>,
    topics: impl IntoIterator<Item = &'t str>,
    allow_auto_topic_creation: bool,
) -> Result<(), WireError> {
    let topics = topics
        .into_iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(name.to_owned())))))
        .collect();
    let request =
        MetadataRequest::default().with_topics(Some(topics)).with_allow_auto_topic_creation(allow_auto_topic_creation);
    encode(buf, ApiKey::Metadata, id, &request)
}

/// Appends an `InitProducerId` request (v0 to v5) of a producer without transactions to `buf`, as a whole frame. It asks
/// for a new id: one that loses its sequence takes a new id, as Kafka's own idempotent producer does.
///
/// `timeout_ms` is the transaction timeout, which a broker ignores without a transactional id.
///
/// # Errors
/// A version that this codec does not speak, or a string that does not fit.
pub fn encode_init_producer_id(buf: &mut Vec<u8>, id: RequestId<'_>, timeout_ms: i32) -> Result<(), WireError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    encode(buf, ApiKey::InitProducerId, id, &request)
}

pub(super) fn encode(
    buf: &mut Vec<u8>,
    api: ApiKey,
    id: RequestId<'_>,
    request: &impl Encodable,
) -> Result<(), WireError> {
    check(api, id.version)?;
    let start = buf.len();
    let header = RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(id.version)
        .with_correlation_id(id.correlation_id)
        .with_client_id(Some(StrBytes::from_string(id.client_id.to_owned())));
    let header_version = if is_flexible(api, id.version) { 2 } else { 1 };
    buf.extend_from_slice(&[0; 4]);
    let encoded = header.encode(buf, header_version).and_then(|()| request.encode(buf, id.version));
    let len = buf.len() - start;
    let size = i32::try_from(len - 4);
    match (encoded, size, buf[start..].first_chunk_mut::<4>()) {
        (Ok(()), Ok(size), Some(field)) => {
            *field = size.to_be_bytes();
            Ok(())
        }
        (Err(why), ..) => {
            buf.truncate(start);
            Err(WireError::Encode { api, version: id.version, why: why.to_string() })
        }
        _ => {
            buf.truncate(start);
            Err(WireError::RequestTooLarge { len })
        }
    }
}

/// Reads an `ApiVersions` response (what follows the correlation id) to a request of `version`.
///
/// A broker that does not speak the version answers in the shape of version 0 with error 35 (KIP-511): that is read as
/// such, and is no error here. The ranges of such an answer only say which version to ask with next, so where they make
/// no sense there are none: librdkafka's mock broker writes them in the shape that was asked for.
///
/// # Errors
/// The first violation of the protocol that was found.
pub fn parse_api_versions(version: i16, body: &[u8]) -> Result<ApiVersions, WireError> {
    check(ApiKey::ApiVersions, version)?;
    // The response header of this API has no tagged fields in any version, so that a client which asked for too much
    // can read the answer.
    let mut r = Reader::new(body, is_flexible(ApiKey::ApiVersions, version));
    let error = ErrorCode(r.i16("error code")?);
    if error == ErrorCode::UNSUPPORTED_VERSION {
        let mut r = Reader::new(body, false);
        r.i16("error code")?;
        return Ok(ApiVersions { error, ranges: api_ranges(&mut r).unwrap_or_default(), throttle_ms: 0 });
    }
    let ranges = api_ranges(&mut r)?;
    let throttle_ms = if version >= 1 { r.i32("throttle time")? } else { 0 };
    r.skip_tags()?;
    Ok(ApiVersions { error, ranges, throttle_ms })
}

fn api_ranges(r: &mut Reader<'_>) -> Result<Vec<ApiRange>, WireError> {
    list(r, "api keys", 6, |r| {
        let range = ApiRange { api_key: r.i16("api key")?, min: r.i16("min version")?, max: r.i16("max version")? };
        r.skip_tags()?;
        Ok(range)
    })
}

/// Reads a Metadata response (what follows the correlation id).
///
/// # Errors
/// The first violation of the protocol that was found.
pub fn parse_metadata(version: i16, body: &[u8]) -> Result<Metadata, WireError> {
    check(ApiKey::Metadata, version)?;
    let mut r = Reader::new(body, is_flexible(ApiKey::Metadata, version));
    r.skip_tags()?; // of the response header
    let throttle_ms = r.i32("throttle time")?;
    let brokers = list(&mut r, "brokers", 11, |r| {
        let broker = Broker { node_id: r.i32("node id")?, host: r.string("host")?.to_owned(), port: r.i32("port")? };
        r.nullable_string("rack")?;
        r.skip_tags()?;
        Ok(broker)
    })?;
    let cluster_id = r.nullable_string("cluster id")?.map(str::to_owned);
    let controller = r.i32("controller id")?;
    let topics = list(&mut r, "topics", 6, |r| read_topic(version, r))?;
    if (8..=10).contains(&version) {
        r.i32("cluster authorized operations")?;
    }
    let error = if version >= 13 { ErrorCode(r.i16("error code")?) } else { ErrorCode::NONE };
    r.skip_tags()?;
    Ok(Metadata { error, brokers, cluster_id, controller, topics, throttle_ms })
}

fn read_topic(version: i16, r: &mut Reader<'_>) -> Result<TopicMeta, WireError> {
    let error = ErrorCode(r.i16("topic error")?);
    let name = r.nullable_string("topic name")?.map(str::to_owned);
    let id = if version >= 10 { r.uuid("topic id")? } else { [0; 16] };
    r.i8("is internal")?;
    let partitions = list(r, "partitions", 18, |r| {
        let partition = PartitionMeta {
            error: ErrorCode(r.i16("partition error")?),
            index: r.i32("partition index")?,
            leader: r.i32("leader id")?,
            leader_epoch: if version >= 7 { r.i32("leader epoch")? } else { -1 },
        };
        r.skip_i32s("replicas")?;
        r.skip_i32s("in-sync replicas")?;
        if version >= 5 {
            r.skip_i32s("offline replicas")?;
        }
        r.skip_tags()?;
        Ok(partition)
    })?;
    if version >= 8 {
        r.i32("topic authorized operations")?;
    }
    r.skip_tags()?;
    Ok(TopicMeta { error, name, id, partitions })
}

/// Reads an `InitProducerId` response (what follows the correlation id).
///
/// # Errors
/// The first violation of the protocol that was found.
pub fn parse_init_producer_id(version: i16, body: &[u8]) -> Result<InitProducerId, WireError> {
    check(ApiKey::InitProducerId, version)?;
    let mut r = Reader::new(body, is_flexible(ApiKey::InitProducerId, version));
    r.skip_tags()?; // of the response header
    let throttle_ms = r.i32("throttle time")?;
    let error = ErrorCode(r.i16("error code")?);
    let producer = ProducerIdAndEpoch { producer_id: r.i64("producer id")?, epoch: r.i16("producer epoch")? };
    r.skip_tags()?;
    Ok(InitProducerId { error, producer, throttle_ms })
}

/// Reads an array. Memory is reserved for no more elements than the bytes that are left could hold, each taking at least
/// `least` bytes, whatever count the peer states.
pub(super) fn list<'a, T>(
    r: &mut Reader<'a>,
    field: &'static str,
    least: usize,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = r.count(field)?;
    if count > r.remaining() / least {
        return Err(WireError::Truncated { field });
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(read(r)?);
    }
    Ok(items)
}
