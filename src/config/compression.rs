//! `compression.type`.

use forebay_io::compress::{Codec, Compression};
use std::fmt;

use super::settings::Settings;

/// Kafka's codecs. Each is there if the Cargo feature of its name is on, as all are by default.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CompressionType {
    /// Records are sent as they are.
    #[default]
    None,
    /// gzip: small, slow.
    Gzip,
    /// Snappy: quick.
    Snappy,
    /// LZ4: quickest.
    Lz4,
    /// Zstandard: as small as gzip or smaller, and quicker. Brokers know it from Kafka 2.1 on.
    Zstd,
}

impl CompressionType {
    pub(super) fn codec(self) -> Option<Codec> {
        match self {
            Self::None => None,
            Self::Gzip => Some(Codec::Gzip),
            Self::Snappy => Some(Codec::Snappy),
            Self::Lz4 => Some(Codec::Lz4),
            Self::Zstd => Some(Codec::Zstd),
        }
    }

    /// The type of a name that the table of keys has checked.
    pub(super) fn of_name(name: &str) -> Self {
        match name {
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl fmt::Display for CompressionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// The codec with the level that is set for it.
pub(crate) fn compression(settings: &Settings) -> Option<Compression> {
    let codec = settings.compression.codec()?;
    let level = match codec {
        Codec::Gzip => settings.gzip_level,
        Codec::Snappy => 0,
        Codec::Lz4 => settings.lz4_level,
        Codec::Zstd => settings.zstd_level,
    };
    Some(Compression { codec, level })
}
