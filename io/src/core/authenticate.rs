//! Who we are, said on a connection: after `ApiVersions`, and again before the broker's belief ends (KIP-368).
//!
//! The core asks its driver for credentials each time and keeps them no longer than the exchange lasts. While a connection
//! authenticates anew nothing new is sent on it: a broker takes nothing else between the two. What was sent before is
//! answered as usual.

use std::time::Duration;

use super::Core;
use super::connections::Phase;
use super::ports::{Command, ConnId};
use super::requests::Kind;
use super::sasl::{Credentials, Exchange, SaslError, Step};
use crate::time::Time;
use crate::wire::ErrorCode;
use crate::wire::sasl::{SaslAuthenticate, SaslHandshake, encode_sasl_authenticate, encode_sasl_handshake};
use crate::wire::versions::{ApiKey, supported};

/// The part of a session's lifetime after which it is renewed: between these two, so that many connections do not do it at
/// once. Java's numbers.
const RENEW_FROM: f64 = 0.85;
const RENEW_TO: f64 = 0.95;

impl Core {
    /// A connection is to say who we are; the driver is asked for what proves it.
    pub(super) fn authenticate(&mut self, conn: ConnId, phase: Phase) {
        let Some(connection) = self.connection_mut(conn) else { return };
        connection.phase = phase;
        self.commands.push_back(Command::Credentials { conn });
    }

    /// The driver's answer to [`Command::Credentials`]. An error's text is for people, and holds no secret.
    pub fn credentials(&mut self, conn: ConnId, result: Result<Credentials, String>, now: Time) {
        self.stirred = true;
        let Some(connection) = self.connection(conn) else { return };
        if !matches!(connection.phase, Phase::Authenticating | Phase::Renewing) {
            return;
        }
        let exchange = result.map_err(SaslError).and_then(|credentials| {
            let mechanism = credentials.mechanism();
            Exchange::new(credentials).map(|exchange| (mechanism, exchange))
        });
        match exchange {
            Ok((mechanism, exchange)) => {
                if let Some(connection) = self.connection_mut(conn) {
                    connection.sasl = Some((mechanism, exchange));
                }
                let version = supported(ApiKey::SaslHandshake).max;
                self.ask(conn, Kind::SaslHandshake, version, now, |_, buf, header| {
                    encode_sasl_handshake(buf, header, mechanism)
                });
            }
            Err(SaslError(why)) => {
                let why = format!("no credentials: {why}");
                self.untrusted(conn, &why);
                self.close_connection(conn, &why, now);
            }
        }
    }

    /// An error means that the connection is to be closed.
    pub(super) fn sasl_handshake(&mut self, conn: ConnId, answer: &SaslHandshake, now: Time) -> Result<(), String> {
        let Some((mechanism, mut exchange)) = self.connection_mut(conn).and_then(|c| c.sasl.take()) else {
            return Err("an answer to SaslHandshake outside of an authentication".to_owned());
        };
        if !answer.error.is_none() {
            let theirs = answer.mechanisms.iter().map(String::as_str).take(16).collect::<Vec<_>>().join(", ");
            return self.refused_us(conn, format!("SASL {mechanism}: {}; the broker has {theirs}", answer.error));
        }
        let first = exchange.first();
        if let Some(connection) = self.connection_mut(conn) {
            connection.sasl = Some((mechanism, exchange));
        }
        self.say(conn, first, now);
        Ok(())
    }

    /// An error means that the connection is to be closed.
    pub(super) fn sasl_authenticate(
        &mut self,
        conn: ConnId,
        answer: &SaslAuthenticate,
        now: Time,
    ) -> Result<(), String> {
        let Some((mechanism, mut exchange)) = self.connection_mut(conn).and_then(|c| c.sasl.take()) else {
            return Err("an answer to SaslAuthenticate outside of an authentication".to_owned());
        };
        if !answer.error.is_none() {
            let code = answer.error;
            let complaint = exchange.complaint().map_or_else(String::new, |complaint| format!(" ({complaint})"));
            let words = answer.message.as_deref().unwrap_or_default();
            return self.refused_us(conn, format!("SASL {mechanism}: {code}: {words}{complaint}"));
        }
        match exchange.next(&answer.bytes) {
            Ok(Step::Send(bytes)) => {
                if let Some(connection) = self.connection_mut(conn) {
                    connection.sasl = Some((mechanism, exchange));
                }
                self.say(conn, bytes, now);
            }
            Ok(Step::Done) => self.authenticated(conn, answer.session_lifetime_ms, now),
            Err(SaslError(why)) => return self.refused_us(conn, format!("SASL {why}")),
        }
        Ok(())
    }

    fn say(&mut self, conn: ConnId, bytes: Vec<u8>, now: Time) {
        let version = self.connection(conn).and_then(|c| c.versions).and_then(|v| v.sasl_authenticate).unwrap_or(0);
        self.ask(conn, Kind::SaslAuthenticate, version, now, |_, buf, header| {
            encode_sasl_authenticate(buf, header, bytes)
        });
    }

    fn authenticated(&mut self, conn: ConnId, lifetime_ms: i64, now: Time) {
        let part = RENEW_FROM + (RENEW_TO - RENEW_FROM) * self.rng.f64();
        let Some(connection) = self.connection_mut(conn) else { return };
        let lifetime = u64::try_from(lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        connection.renew_at = lifetime.map_or(Time::MAX, |lifetime| {
            now + Duration::try_from_secs_f64(lifetime.as_secs_f64() * part).unwrap_or(lifetime)
        });
        if connection.phase == Phase::Renewing {
            // To renew is no use of the connection: it must still be able to become idle.
            connection.last_used = connection.used_before;
        }
        self.ready(conn);
    }

    fn refused_us(&mut self, conn: ConnId, why: String) -> Result<(), String> {
        self.untrusted(conn, &why);
        Err(why)
    }

    /// The broker's belief ends soon.
    pub(super) fn renew(&mut self, conn: ConnId, now: Time) {
        let setup = self.cfg.connection_setup_timeout_max;
        let Some(connection) = self.connection_mut(conn) else { return };
        connection.setup_by = now + setup;
        connection.used_before = connection.last_used;
        connection.renew_at = Time::MAX;
        connection.span.in_scope(|| tracing::debug!(target: "forebay::connection", "authenticating anew"));
        self.authenticate(conn, Phase::Renewing);
    }

    /// A broker that offers no SASL on this port cannot be told who we are.
    pub(super) fn no_sasl(&mut self, conn: ConnId) -> Result<(), String> {
        let why = format!("SASL: {}: this port of the broker does not authenticate", ErrorCode(34));
        self.refused_us(conn, why)
    }
}
