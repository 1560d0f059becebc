//! From a request's bytes to its answer.

mod api_versions;
mod fetch;
mod find_coordinator;
mod init_producer_id;
mod list_offsets;
mod metadata;
pub(crate) mod produce;
mod sasl;
pub(crate) mod wire;

use std::time::Duration;

use kafka_protocol::protocol::Encodable;

use crate::cluster::Cluster;
use crate::faults::{Faults, Standing};
pub(crate) use sasl::{Doorkeeper, Session};
use wire::{Malformed, Parsed, Reader};

/// One API that this broker speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) name: &'static str,
    /// The lowest version that is answered.
    lowest: i16,
    /// The lowest version that is announced. A Kafka broker announces Produce from 0 on, because librdkafka would not
    /// compress otherwise, and refuses what is below 3 (KAFKA-18659).
    announced: i16,
    highest: i16,
    /// The first version with compact types and tagged fields.
    flexible: i16,
}

const fn api(key: i16, name: &'static str, versions: (i16, i16), flexible: i16) -> Api {
    Api { key, name, lowest: versions.0, announced: versions.0, highest: versions.1, flexible }
}

pub(crate) const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const INIT_PRODUCER_ID: i16 = 22;
const SASL_AUTHENTICATE: i16 = 36;

/// Every API, by key.
pub(crate) const APIS: [Api; 9] = [
    Api { announced: 0, ..api(PRODUCE, "Produce", (3, 13), 9) },
    api(FETCH, "Fetch", (4, 12), 12),
    api(LIST_OFFSETS, "ListOffsets", (1, 7), 6),
    api(METADATA, "Metadata", (0, 13), 9),
    api(FIND_COORDINATOR, "FindCoordinator", (0, 4), 3),
    api(SASL_HANDSHAKE, "SaslHandshake", (1, 1), i16::MAX),
    api(API_VERSIONS, "ApiVersions", (0, 4), 3),
    api(INIT_PRODUCER_ID, "InitProducerId", (0, 5), 2),
    api(SASL_AUTHENTICATE, "SaslAuthenticate", (0, 2), 2),
];

impl Cluster {
    /// The highest version of this API that is spoken, which the builder may have lowered.
    fn highest(&self, api: &Api) -> i16 {
        self.config.max_versions.get(&api.key).map_or(api.highest, |most| api.highest.min(*most))
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer has been written.
    Answer,
    /// There is no answer.
    Silent,
    /// Ask again, when something has been appended or so much time has passed.
    Park(Duration),
    /// Close the connection once what has been written is sent.
    Close,
}

/// What the handlers of all APIs are given.
pub(crate) struct Request<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) faults: &'a Faults,
    pub(crate) standing: &'a Standing,
    /// The node that was asked.
    pub(crate) node: i32,
    pub(crate) session: &'a mut Session,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) flexible: bool,
    /// Whether the answer may wait for records.
    pub(crate) may_park: bool,
}

/// Handles one request, `frame` being everything after its size, and appends the answer to `out`.
pub(crate) fn handle(
    cluster: &mut Cluster,
    session: &mut Session,
    frame: &[u8],
    faults: &Faults,
    standing: &Standing,
    may_park: bool,
    out: &mut Vec<u8>,
) -> Outcome {
    let before = out.len();
    let mut reader = Reader::new(frame);
    dispatch(cluster, session, &mut reader, faults, standing, may_park, out).unwrap_or_else(|Malformed| {
        cluster.malformed_requests += 1;
        out.truncate(before);
        Outcome::Close
    })
}

fn dispatch(
    cluster: &mut Cluster,
    session: &mut Session,
    reader: &mut Reader<'_>,
    faults: &Faults,
    standing: &Standing,
    may_park: bool,
    out: &mut Vec<u8>,
) -> Parsed<Outcome> {
    let key = reader.i16()?;
    let version = reader.i16()?;
    let correlation_id = reader.i32()?;
    let number = APIS.iter().position(|api| api.key == key).ok_or(Malformed)?;
    let api = APIS.get(number).ok_or(Malformed)?;
    let supported = version >= api.lowest && version <= cluster.highest(api);
    if !supported && key == API_VERSIONS {
        api_versions::unsupported(cluster, correlation_id, out)?;
        return Ok(Outcome::Answer);
    }
    if !supported {
        return Err(Malformed);
    }
    // Whoever has not said who it is, is not listened to.
    if cluster.config.sasl.is_some()
        && !session.is_known()
        && !matches!(key, API_VERSIONS | SASL_HANDSHAKE | SASL_AUTHENTICATE)
    {
        return Err(Malformed);
    }
    // The client id keeps its old encoding in every header version.
    reader.nullable_string()?;
    reader.flexible = version >= api.flexible;
    reader.tags()?;
    let flexible = reader.flexible;
    let mut request =
        Request { cluster, faults, standing, node: session.node, session, version, correlation_id, flexible, may_park };
    let outcome = match key {
        PRODUCE => produce::handle(&mut request, reader, out),
        FETCH => fetch::handle(&mut request, reader, out),
        LIST_OFFSETS => list_offsets::handle(&mut request, reader, out),
        METADATA => metadata::handle(&mut request, reader, out),
        FIND_COORDINATOR => find_coordinator::handle(&request, reader, out),
        API_VERSIONS => api_versions::handle(&request, reader, out),
        SASL_HANDSHAKE => sasl::handshake(&mut request, reader, out),
        SASL_AUTHENTICATE => sasl::authenticate(&mut request, reader, out),
        INIT_PRODUCER_ID => init_producer_id::handle(&mut request, reader, out),
        _ => Err(Malformed),
    }?;
    match cluster.requests.get_mut(number) {
        Some(count) if !matches!(outcome, Outcome::Park(_)) => *count += 1,
        _ => {}
    }
    Ok(outcome)
}

/// Begins an answer: room for the size, and the header. Returns where it begins.
fn begin(correlation_id: i32, tagged: bool, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&correlation_id.to_be_bytes());
    if tagged {
        out.push(0);
    }
    start
}

/// Writes the size of the answer that begins at `start`.
fn finish(start: usize, out: &mut [u8]) {
    let size = (out.len() - start).saturating_sub(4) as u32;
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&size.to_be_bytes());
    }
}

/// Writes a whole answer.
fn answer(
    body: &impl Encodable,
    version: i16,
    correlation_id: i32,
    tagged: bool,
    out: &mut Vec<u8>,
) -> Parsed<Outcome> {
    let start = begin(correlation_id, tagged, out);
    body.encode(out, version).map_err(|error| {
        // Only fields that the version lacks can fail, so it is a mistake of this crate's: say so before closing.
        tracing::error!(%error, version, "an answer could not be encoded");
        Malformed
    })?;
    finish(start, out);
    Ok(Outcome::Answer)
}

impl Request<'_> {
    fn answer(&self, body: &impl Encodable, out: &mut Vec<u8>) -> Parsed<Outcome> {
        answer(body, self.version, self.correlation_id, self.flexible, out)
    }
}
