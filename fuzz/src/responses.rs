//! What a broker, or someone who claims to be one, may answer. The first byte of an input chooses the version.

use crate::budget::within;
use crate::input::Input;
use forebay_io::wire::control::{parse_api_versions, parse_init_producer_id, parse_metadata};
use forebay_io::wire::produce::{PartitionResponse, TopicRef, parse_response};
use forebay_io::wire::versions::{ApiKey, Negotiated, supported};

/// The version that the input chooses, one beyond ours on either side included, and the body.
fn versioned(api: ApiKey, data: &[u8]) -> (i16, &[u8]) {
    let ours = supported(api);
    let mut input = Input(data);
    let version = ours.min - 1 + input.below((ours.max - ours.min + 3) as usize) as i16;
    (version, input.0)
}

/// Something is refused exactly where the version is not ours, whatever else is wrong.
fn check_version<T, E>(api: ApiKey, version: i16, result: &Result<T, E>) {
    let ours = supported(api);
    assert!((ours.min..=ours.max).contains(&version) || result.is_err(), "{api:?} v{version} is not ours");
}

/// Produce: what is not well-formed is acted upon nowhere; what is can be read to its end.
pub fn produce(data: &[u8]) {
    let (version, body) = versioned(ApiKey::Produce, data);
    let mut partitions = 0usize;
    let mut held = 0usize;
    let on_partition = |partition: PartitionResponse<'_>| {
        partitions += 1;
        match partition.topic {
            TopicRef::Name(name) => {
                assert!(version <= 12);
                held += name.len();
            }
            TopicRef::Id(_) => assert!(version >= 13),
        }
        let errors = partition.record_errors.clone().count();
        assert!(errors <= body.len(), "each record error has bytes of its own");
        assert_eq!(errors, partition.record_errors.count());
        assert!(version >= 8 || (errors == 0 && partition.error_message.is_none()));
        assert!(version >= 5 || partition.log_start_offset == -1);
        if let Some((leader, epoch)) = partition.current_leader {
            assert!(version >= 10 && leader >= 0 && epoch >= 0);
        }
        let _ = (partition.error_code.class(), partition.error_code.name());
    };
    let result = within(body.len(), || parse_response(version, body, on_partition));
    check_version(ApiKey::Produce, version, &result);
    match result {
        // index, error, offset and append time: 22 bytes a partition
        Ok(response) => assert!(partitions * 22 + response.node_endpoints.len() * 9 <= body.len()),
        Err(_) => assert_eq!((partitions, held), (0, 0), "half a response was acted upon"),
    }
}

/// Metadata: never more elements than the bytes can hold.
pub fn metadata(data: &[u8]) {
    let (version, body) = versioned(ApiKey::Metadata, data);
    let result = within(body.len(), || parse_metadata(version, body));
    check_version(ApiKey::Metadata, version, &result);
    let Ok(metadata) = result else { return };
    let partitions: usize = metadata.topics.iter().map(|topic| topic.partitions.len()).sum();
    assert!(metadata.brokers.len() * 11 + metadata.topics.len() * 6 + partitions * 18 <= body.len());
    assert!(version >= 10 || metadata.topics.iter().all(|topic| topic.id == [0; 16]));
}

/// `ApiVersions`: also the answer of an old broker, and what is negotiated from it.
pub fn api_versions(data: &[u8]) {
    let (version, body) = versioned(ApiKey::ApiVersions, data);
    let result = within(body.len(), || parse_api_versions(version, body));
    check_version(ApiKey::ApiVersions, version, &result);
    let Ok(answer) = result else { return };
    assert!(answer.ranges.len() * 6 <= body.len());
    let Ok(agreed) = Negotiated::with(&answer) else { return };
    for (api, version) in [
        (ApiKey::Produce, Some(agreed.produce)),
        (ApiKey::Metadata, Some(agreed.metadata)),
        (ApiKey::InitProducerId, agreed.init_producer_id),
    ] {
        let Some(version) = version else { continue };
        let (ours, theirs) = (supported(api), answer.range(api).expect("agreed upon what was not offered"));
        assert!((ours.min..=ours.max).contains(&version) && (theirs.min..=theirs.max).contains(&version), "{api:?}");
    }
    assert_eq!(agreed.require_init_producer_id(&answer).ok(), agreed.init_producer_id);
}

/// `InitProducerId`.
pub fn init_producer_id(data: &[u8]) {
    let (version, body) = versioned(ApiKey::InitProducerId, data);
    let result = within(body.len(), || parse_init_producer_id(version, body));
    check_version(ApiKey::InitProducerId, version, &result);
    assert!(result.is_err() || body.len() >= 16);
}
