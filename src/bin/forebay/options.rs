//! Options that several commands share.

use crate::Failure;
use forebay::config::{Config, ConfigBuilder};
use std::path::PathBuf;

/// Where to send to, and how.
#[derive(clap::Args)]
pub(crate) struct ProducerOptions {
    /// Brokers to ask for the cluster's members, separated by commas.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_server: Option<String>,

    /// Set a configuration key; may be given many times, and wins over --producer-config. `forebay config` lists the keys.
    #[arg(short = 'X', long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) producer_property: Vec<(String, String)>,

    /// Read configuration keys from a Java properties file.
    #[arg(long, value_name = "FILE")]
    pub(crate) producer_config: Option<PathBuf>,
}

impl ProducerOptions {
    /// Whether any of them is there.
    pub(crate) fn is_given(&self) -> bool {
        self.bootstrap_server.is_some() || !self.producer_property.is_empty() || self.producer_config.is_some()
    }

    /// The file first, then single keys, then the option that names the servers.
    pub(crate) fn builder(&self) -> ConfigBuilder {
        let mut builder = ConfigBuilder::new();
        if let Some(file) = &self.producer_config {
            builder = builder.properties_file(file);
        }
        builder = builder.properties(self.producer_property.iter().cloned());
        if let Some(servers) = &self.bootstrap_server {
            builder = builder.bootstrap_servers(servers);
        }
        builder
    }
}

/// Checks the configuration and says on standard error which defaults were changed to fit it.
pub(crate) fn build(builder: ConfigBuilder) -> Result<Config, Failure> {
    let config = builder.build().map_err(Failure::usage)?;
    for changed in config.adjustments() {
        eprintln!("note: {} is {}: {}", changed.key, changed.value, changed.reason);
    }
    Ok(config)
}

/// Reads `key=value`; the value may hold more of `=`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}
