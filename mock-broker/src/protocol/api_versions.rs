//! `ApiVersions` (KIP-35, KIP-511): what this broker speaks.

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;

use super::wire::{Parsed, Reader};
use super::{APIS, Outcome, Request, answer};
use crate::cluster::Cluster;
use crate::error_code;

pub(super) fn handle(request: &Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    if request.version >= 3 {
        let _client_name = reader.string()?;
        let _client_version = reader.string()?;
        reader.tags()?;
    }
    // The header of this answer is never tagged: the client cannot know yet which version it gets.
    answer(&response(request.cluster, error_code::NONE), request.version, request.correlation_id, false, out)
}

/// The answer to a version that is too new: in the form of version 0, with the error and what there is instead.
pub(super) fn unsupported(cluster: &Cluster, correlation_id: i32, out: &mut Vec<u8>) -> Parsed<Outcome> {
    answer(&response(cluster, error_code::UNSUPPORTED_VERSION), 0, correlation_id, false, out)
}

fn response(cluster: &Cluster, error: i16) -> ApiVersionsResponse {
    let keys = APIS.iter().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key)
            .with_min_version(api.announced)
            .with_max_version(cluster.highest(api))
    });
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys.collect())
}
