//! Which versions of each API this client speaks, and which one a broker gets.
//!
//! The floors are those of KIP-896 (Kafka 2.1), the ceilings those of Kafka 4.x.

use std::fmt;

use super::control::ApiVersions;
use super::error::WireError;

/// The APIs that a producer calls.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum ApiKey {
    /// Records in.
    Produce = 0,
    /// Brokers, topics and leaders.
    Metadata = 3,
    /// Which SASL mechanism is to come.
    SaslHandshake = 17,
    /// What the broker speaks.
    ApiVersions = 18,
    /// A producer id and epoch for idempotence.
    InitProducerId = 22,
    /// The messages of a SASL mechanism.
    SaslAuthenticate = 36,
}

/// An inclusive range of versions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest.
    pub min: i16,
    /// The highest.
    pub max: i16,
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{} to v{}", self.min, self.max)
    }
}

/// The highest Produce version that names topics; from v13 on they go by id.
pub const PRODUCE_MAX_BY_NAME: i16 = 12;
/// The first Metadata version whose response carries topic ids.
pub const METADATA_MIN_WITH_IDS: i16 = 10;

/// What this client speaks.
pub const fn supported(api: ApiKey) -> VersionRange {
    let (min, max) = match api {
        ApiKey::Produce => (3, 13),
        ApiKey::Metadata => (4, 13),
        ApiKey::ApiVersions => (0, 4),
        ApiKey::InitProducerId => (0, 5),
        // v0 is followed by bare bytes and not by `SaslAuthenticate`.
        ApiKey::SaslHandshake => (1, 1),
        ApiKey::SaslAuthenticate => (0, 2),
    };
    VersionRange { min, max }
}

/// True if messages of this version have compact lengths and tagged fields (KIP-482).
pub(crate) const fn is_flexible(api: ApiKey, version: i16) -> bool {
    version
        >= match api {
            ApiKey::Produce | ApiKey::Metadata => 9,
            ApiKey::ApiVersions => 3,
            ApiKey::InitProducerId | ApiKey::SaslAuthenticate => 2,
            ApiKey::SaslHandshake => i16::MAX,
        }
}

/// The error that a function of this codec returns for a version it does not speak.
pub(crate) fn check(api: ApiKey, version: i16) -> Result<(), WireError> {
    let ours = supported(api);
    if (ours.min..=ours.max).contains(&version) {
        return Ok(());
    }
    Err(WireError::UnsupportedVersion { api, version })
}

/// The highest version that both sides speak.
///
/// # Errors
/// [`WireError::NoCommonVersion`], with both ranges.
pub fn negotiate(api: ApiKey, theirs: Option<VersionRange>) -> Result<i16, WireError> {
    let ours = supported(api);
    theirs
        .filter(|t| t.min <= t.max && t.max >= ours.min && t.min <= ours.max)
        .map(|t| t.max.min(ours.max))
        .ok_or(WireError::NoCommonVersion { api, ours, theirs })
}

/// The versions agreed with one broker.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Produce, 3 to 13. At 13 topics go by id: for one without an id use [`PRODUCE_MAX_BY_NAME`].
    pub produce: i16,
    /// Metadata, 4 to 13.
    pub metadata: i16,
    /// `InitProducerId`; `None` if the broker cannot do idempotence.
    pub init_producer_id: Option<i16>,
    /// `SaslAuthenticate`; `None` if the broker does not authenticate by SASL on this port.
    pub sasl_authenticate: Option<i16>,
}

impl Negotiated {
    /// Picks a version of each API from a broker's answer.
    ///
    /// # Errors
    /// [`WireError::NoCommonVersion`] for Produce or Metadata. `InitProducerId` is needed with idempotence only, so the
    /// caller decides: see [`Negotiated::require_init_producer_id`].
    pub fn with(broker: &ApiVersions) -> Result<Self, WireError> {
        let metadata = negotiate(ApiKey::Metadata, broker.range(ApiKey::Metadata))?;
        let mut produce = negotiate(ApiKey::Produce, broker.range(ApiKey::Produce))?;
        let speaks_names = broker.range(ApiKey::Produce).is_some_and(|r| r.min <= PRODUCE_MAX_BY_NAME);
        if metadata < METADATA_MIN_WITH_IDS && speaks_names {
            produce = produce.min(PRODUCE_MAX_BY_NAME);
        }
        let init_producer_id = negotiate(ApiKey::InitProducerId, broker.range(ApiKey::InitProducerId)).ok();
        let sasl_authenticate = negotiate(ApiKey::SaslAuthenticate, broker.range(ApiKey::SaslAuthenticate)).ok();
        Ok(Self { produce, metadata, init_producer_id, sasl_authenticate })
    }

    /// The version of `InitProducerId`.
    ///
    /// # Errors
    /// [`WireError::NoCommonVersion`] if the broker has none that this client speaks.
    pub fn require_init_producer_id(&self, broker: &ApiVersions) -> Result<i16, WireError> {
        match self.init_producer_id {
            Some(version) => Ok(version),
            None => negotiate(ApiKey::InitProducerId, broker.range(ApiKey::InitProducerId)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::ApiRange;
    use super::super::error_code::ErrorCode;
    use super::*;

    fn broker(ranges: &[(i16, i16, i16)]) -> ApiVersions {
        let ranges = ranges.iter().map(|&(api_key, min, max)| ApiRange { api_key, min, max }).collect();
        ApiVersions { error: ErrorCode::NONE, ranges, throttle_ms: 0 }
    }

    #[test]
    fn old_and_new_brokers_get_the_highest_common_version() {
        // Kafka 2.1, 3.9 and 4.2, as each advertises.
        for (ranges, expect) in [
            ([(0, 0, 7), (3, 0, 7), (22, 0, 1)], (7, 7, Some(1))),
            ([(0, 0, 11), (3, 0, 12), (22, 0, 5)], (11, 12, Some(5))),
            ([(0, 0, 13), (3, 0, 13), (22, 0, 6)], (13, 13, Some(5))),
        ] {
            let n = Negotiated::with(&broker(&ranges)).expect("negotiates");
            assert_eq!((n.produce, n.metadata, n.init_producer_id), expect);
        }
    }

    #[test]
    fn no_overlap_names_the_api_and_both_ranges() {
        let old = broker(&[(0, 0, 2), (3, 0, 13)]);
        let error = Negotiated::with(&old).expect_err("Produce v2 is too old");
        assert_eq!(
            error.to_string(),
            "no common version of Produce: this client speaks v3 to v13, the broker v0 to v2"
        );
        let future = broker(&[(0, 14, 20), (3, 0, 13)]);
        assert!(Negotiated::with(&future).is_err());
        let none = broker(&[(0, 0, 9), (3, 0, 9)]);
        let n = Negotiated::with(&none).expect("idempotence is optional here");
        let error = n.require_init_producer_id(&none).expect_err("not offered");
        assert!(error.to_string().ends_with("the broker none"), "{error}");
    }

    #[test]
    fn a_reversed_range_is_no_range() {
        assert!(negotiate(ApiKey::Produce, Some(VersionRange { min: 9, max: 3 })).is_err());
    }

    #[test]
    fn without_topic_ids_in_the_metadata_topics_go_by_name() {
        let n = Negotiated::with(&broker(&[(0, 0, 13), (3, 0, 9)])).expect("negotiates");
        assert_eq!(n.produce, PRODUCE_MAX_BY_NAME);
    }
}
