//! `InitProducerId` (KIP-98): a fresh producer id for an idempotent producer.

use kafka_protocol::messages::{InitProducerIdResponse, ProducerId};

use super::wire::{Parsed, Reader};
use super::{Outcome, Request};
use crate::error_code;

pub(super) fn handle(request: &mut Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    let transactional_id = reader.nullable_string()?;
    let _timeout_ms = reader.i32()?;
    if request.version >= 3 {
        // Without a transactional id Kafka ignores them: a producer that lost its place gets a new id (KIP-360).
        let _producer_id = reader.i64()?;
        let _producer_epoch = reader.i16()?;
    }
    reader.tags()?;
    let body = if transactional_id.is_some() {
        // No transactions here, and an error that nobody retries says it best.
        InitProducerIdResponse::default()
            .with_error_code(error_code::INVALID_REQUEST)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    } else {
        InitProducerIdResponse::default()
            .with_producer_id(ProducerId(request.cluster.new_producer_id()))
            .with_producer_epoch(0)
    };
    request.answer(&body, out)
}
