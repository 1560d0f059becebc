//! The doors that the fuzz targets open. Each takes any bytes and panics if forebay breaks a promise on them.
//!
//! The first bytes of an input choose (versions, limits, cuts), the rest is what is fed in; so a seed is easy to write by
//! hand and a small mutation stays a small change. `examples/seeds.rs` writes the committed corpora.
#![forbid(unsafe_code)]

pub mod authentication;
pub mod batches;
mod budget;
pub mod engine;
pub mod frames;
mod input;
pub mod machine;
pub mod records;
pub mod responses;
pub mod settings;

/// A door: it takes any bytes.
pub type Door = fn(&[u8]);

/// Every door, by the name of its target.
pub const DOORS: [(&str, Door); 12] = [
    ("api_versions_response", responses::api_versions),
    ("config_properties", settings::properties),
    ("connections", machine::play),
    ("engine_ops", engine::operations),
    ("frame_reader", frames::any_splits),
    ("init_producer_id_response", responses::init_producer_id),
    ("metadata_response", responses::metadata),
    ("produce_response", responses::produce),
    ("record_batch", batches::round_trip),
    ("record_walk", records::walk),
    ("sasl_exchange", authentication::exchange),
    ("sasl_response", authentication::responses),
];
