//! Requests that carry no records, and sorting responses by what they answer.

use super::Core;
use super::ports::ConnId;
use super::requests::Kind;
use crate::time::Time;
use crate::wire::WireError;
use crate::wire::control::{self, RequestId as Header, parse_api_versions, parse_init_producer_id, parse_metadata};
use crate::wire::error_code::ErrorCode;
use crate::wire::frame::Frame;
use crate::wire::sasl::{parse_sasl_authenticate, parse_sasl_handshake};
use crate::wire::versions::{ApiKey, Negotiated, negotiate, supported};

impl Core {
    /// Asks a broker what it speaks. The highest version first; a broker that does not know it says which it knows.
    pub(super) fn greet(&mut self, conn: ConnId, version: Option<i16>, now: Time) {
        let version = version.unwrap_or(supported(ApiKey::ApiVersions).max);
        self.ask(conn, Kind::ApiVersions, version, now, |_, buf, header| control::encode_api_versions(buf, header));
    }

    /// Encodes a request and queues it. Answers whether that was possible.
    pub(super) fn ask(
        &mut self,
        conn: ConnId,
        kind: Kind,
        version: i16,
        now: Time,
        encode: impl FnOnce(&Self, &mut Vec<u8>, Header<'_>) -> Result<(), WireError>,
    ) -> bool {
        let Some(correlation_id) = self.next_correlation(conn) else { return false };
        let id = self.requests.add(kind);
        let mut framing = std::mem::take(&mut self.requests.get_mut(id).framing);
        let header = Header { version, correlation_id, client_id: &self.cfg.client_id };
        let encoded = encode(self, &mut framing, header);
        let request = self.requests.get_mut(id);
        request.len = framing.len();
        request.framing = framing;
        request.version = version;
        request.correlation = correlation_id;
        request.deadline = now + self.cfg.request_timeout;
        if let Err(error) = encoded {
            tracing::error!(target: "forebay::request", %error, ?kind, "a request cannot be written");
            self.requests.remove(id);
            self.close_connection(conn, "a request cannot be written", now);
            return false;
        }
        self.queue(conn, id, now);
        true
    }

    /// A response. An error means that the connection is out of step.
    pub(super) fn response(&mut self, conn: ConnId, frame: Frame<'_>, now: Time) -> Result<(), String> {
        if self.connection(conn).is_some_and(|c| c.waiting.is_empty()) {
            self.heard_of_taken(conn, now);
        }
        let Some(id) = self.connection(conn).and_then(|c| c.waiting.front().copied()) else {
            return Err("a response that nobody asked for".to_owned());
        };
        let request = self.requests.get(id);
        let (kind, version) = (request.kind, request.version);
        if request.correlation != frame.correlation_id {
            return Err(format!("response {} where {} was due", frame.correlation_id, request.correlation));
        }
        if kind == Kind::Produce {
            return self.produce_response(conn, id, frame.body, now);
        }
        let text = |error: WireError| error.to_string();
        match kind {
            Kind::ApiVersions => {
                let answer = parse_api_versions(version, frame.body).map_err(text)?;
                self.answered(conn, now);
                if answer.error == ErrorCode::UNSUPPORTED_VERSION && version > 0 {
                    let theirs = answer.range(ApiKey::ApiVersions);
                    let lower = negotiate(ApiKey::ApiVersions, theirs).unwrap_or(0);
                    self.greet(conn, Some(if lower < version { lower } else { 0 }), now);
                } else if !answer.error.is_none() {
                    return Err(format!("ApiVersions: {}", answer.error));
                } else {
                    return self.greeted(conn, Negotiated::with(&answer).map_err(text)?);
                }
            }
            Kind::Metadata => {
                let answer = parse_metadata(version, frame.body).map_err(text)?;
                self.answered(conn, now);
                self.throttle(conn, answer.throttle_ms, version >= 6, now); // KIP-219
                self.learn(&answer, now);
            }
            Kind::InitProducerId => {
                let answer = parse_init_producer_id(version, frame.body).map_err(text)?;
                self.answered(conn, now);
                self.throttle(conn, answer.throttle_ms, version >= 1, now); // KIP-219
                self.identified(answer, now);
            }
            Kind::SaslHandshake => {
                let answer = parse_sasl_handshake(version, frame.body).map_err(text)?;
                self.answered(conn, now);
                return self.sasl_handshake(conn, &answer, now);
            }
            Kind::SaslAuthenticate => {
                let answer = parse_sasl_authenticate(version, frame.body).map_err(text)?;
                self.answered(conn, now);
                return self.sasl_authenticate(conn, &answer, now);
            }
            Kind::Produce => {}
        }
        Ok(())
    }

    /// The oldest request of a connection has its answer.
    pub(super) fn answered(&mut self, conn: ConnId, now: Time) {
        if let Some(connection) = self.connection_mut(conn)
            && let Some(id) = connection.waiting.pop_front()
        {
            self.meter_response(conn, id, now);
            let request = self.requests.get(id);
            let (produce, departure) = (request.kind == Kind::Produce, request.departure);
            if produce && let Some(connection) = self.connection_mut(conn) {
                connection.produce_requests -= 1;
                connection.flow.arrives(departure, now);
            }
            self.requests.remove(id);
        }
    }
}
