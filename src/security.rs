//! From a configuration to what the driver needs for TLS and SASL.

#[cfg(any(feature = "oauth-http", feature = "aws-msk-iam"))]
use std::sync::Arc;

use forebay_io::driver::{CredentialSource, Security, TlsConnector, TokenSource};

use crate::config::{Config, SaslMechanism};
use crate::error::BuildError;

pub(crate) fn security(config: &Config, tokens: Option<TokenSource>) -> Result<Security, BuildError> {
    let protocol = config.security_protocol();
    let mut security = Security::default();
    if protocol.has_tls() {
        if !config.tls().verifies_host() {
            tracing::warn!(
                target: "forebay::config",
                "ssl.endpoint.identification.algorithm is empty: a broker's certificate is believed whatever host it is for"
            );
        }
        let options = config.tls().options().map_err(BuildError::Tls)?;
        security.tls = Some(TlsConnector::new(&options).map_err(|error| BuildError::Tls(error.to_string()))?);
    }
    if let Some(mechanism) = config.sasl().mechanism() {
        let source = match mechanism {
            SaslMechanism::OAuthBearer => token_source(config, tokens)?.map(CredentialSource::Token),
            _ => None,
        };
        security.credentials = Some(source.or_else(|| config.sasl().credentials()).ok_or(BuildError::NoToken)?);
        if mechanism == SaslMechanism::Plain && !protocol.has_tls() {
            tracing::warn!(target: "forebay::config", "the password goes over the network as it is: security.protocol=SASL_SSL would hide it");
        }
    }
    Ok(security)
}

/// Where tokens come from, if not from a file: the builder's own source first.
#[cfg_attr(
    not(any(feature = "oauth-http", feature = "aws-msk-iam")),
    allow(unused_variables, clippy::unnecessary_wraps, reason = "what the features bring is left out")
)]
fn token_source(config: &Config, tokens: Option<TokenSource>) -> Result<Option<TokenSource>, BuildError> {
    if tokens.is_some() {
        return Ok(tokens);
    }
    #[cfg(feature = "oauth-http")]
    if let Some(settings) = config.sasl().token_endpoint() {
        let endpoint = crate::oauth::Endpoint::new(settings).map_err(BuildError::TokenEndpoint)?;
        return Ok(Some(Arc::new(move || endpoint.token())));
    }
    #[cfg(feature = "aws-msk-iam")]
    if let Some(region) = config.sasl().msk_region() {
        let region = region.to_owned();
        return Ok(Some(Arc::new(move || crate::msk::token(&region))));
    }
    Ok(None)
}
