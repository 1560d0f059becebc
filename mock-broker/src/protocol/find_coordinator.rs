//! `FindCoordinator`: consumers ask even when they join no group.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::wire::{Parsed, Reader};
use super::{Outcome, Request};

pub(super) fn handle(request: &Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    let version = request.version;
    let mut keys = Vec::new();
    if version < 4 {
        keys.push(reader.string()?);
    }
    if version >= 1 {
        let _key_type = reader.i8()?;
    }
    if version >= 4 {
        for _ in 0..reader.array_length()?.unwrap_or(0) {
            keys.push(reader.string()?);
        }
    }
    reader.tags()?;
    let cluster = &request.cluster;
    let (id, port) = cluster.running().next().map_or((-1, -1), |node| (node.id, i32::from(cluster.port(node))));
    let host = StrBytes::from_string(cluster.host().to_owned());
    let mut body = FindCoordinatorResponse::default();
    if version < 4 {
        body = body.with_node_id(BrokerId(id)).with_host(host).with_port(port);
    } else {
        let coordinators = keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(StrBytes::from_string(key.to_owned()))
                .with_node_id(BrokerId(id))
                .with_host(host.clone())
                .with_port(port)
        });
        body = body.with_coordinators(coordinators.collect());
    }
    request.answer(&body, out)
}
