//! `Metadata`: the nodes, the topics and who leads what.

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::wire::{Parsed, Reader};
use super::{Outcome, Request};
use crate::cluster::Cluster;
use crate::error_code;

pub(super) fn handle(request: &mut Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    let version = request.version;
    let mut named: Option<Vec<([u8; 16], Option<&str>)>> = match reader.array_length()? {
        None => None,
        // Version 0 has no null: there an empty list means all topics.
        Some(0) if version == 0 => None,
        Some(count) => {
            let mut named = Vec::new();
            for _ in 0..count {
                let id = if version >= 10 { reader.uuid()? } else { [0; 16] };
                let name = reader.nullable_string()?;
                reader.tags()?;
                named.push((id, name));
            }
            Some(named)
        }
    };
    let may_create = if version >= 4 { reader.bool()? } else { true };
    if (8..=10).contains(&version) {
        let _cluster_operations = reader.bool()?;
    }
    if version >= 8 {
        let _topic_operations = reader.bool()?;
    }
    reader.tags()?;

    let cluster = &mut *request.cluster;
    let topics = match named.take() {
        None => (0..cluster.topics.len()).filter_map(|number| describe(cluster, number)).collect(),
        Some(named) => named.into_iter().map(|(id, name)| look_up(cluster, id, name, may_create)).collect(),
    };
    let brokers = cluster.running().map(|node| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(cluster.host().to_owned()))
            .with_port(i32::from(cluster.port(node)))
    });
    let mut body = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_controller_id(BrokerId(cluster.running().next().map_or(-1, |node| node.id)))
        .with_topics(topics);
    if version >= 2 {
        body.cluster_id = Some(StrBytes::from_static_str("forebay-mock-cluster00"));
    }
    request.answer(&body, out)
}

fn look_up(cluster: &mut Cluster, id: [u8; 16], name: Option<&str>, may_create: bool) -> MetadataResponseTopic {
    let refused = |code: i16| {
        MetadataResponseTopic::default()
            .with_error_code(code)
            .with_name(name.map(topic_name))
            .with_topic_id(uuid::Uuid::from_bytes(id))
    };
    let found = match name {
        None => cluster.by_id(&id).ok_or(error_code::UNKNOWN_TOPIC_ID),
        Some(name) => match cluster.by_name(name) {
            Some(number) => Ok(number),
            None if may_create && cluster.config.auto_create_topics => {
                cluster.create_topic(name, cluster.config.partitions)
            }
            None => Err(error_code::UNKNOWN_TOPIC_OR_PARTITION),
        },
    };
    match found {
        Ok(number) => describe(cluster, number).unwrap_or_else(|| refused(error_code::UNKNOWN_TOPIC_OR_PARTITION)),
        Err(code) => refused(code),
    }
}

fn describe(cluster: &Cluster, number: usize) -> Option<MetadataResponseTopic> {
    let topic = cluster.topic(number)?;
    let replicas: Vec<BrokerId> = cluster.nodes.iter().map(|node| BrokerId(node.id)).collect();
    let in_sync: Vec<BrokerId> = cluster.running().map(|node| BrokerId(node.id)).collect();
    let offline: Vec<BrokerId> = cluster.nodes.iter().filter(|n| !n.running).map(|n| BrokerId(n.id)).collect();
    let partitions = topic.partitions.iter().enumerate().map(|(index, partition)| {
        let led = in_sync.contains(&BrokerId(partition.leader));
        MetadataResponsePartition::default()
            .with_error_code(if led { error_code::NONE } else { error_code::LEADER_NOT_AVAILABLE })
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(if led { partition.leader } else { -1 }))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(in_sync.clone())
            .with_offline_replicas(offline.clone())
    });
    Some(
        MetadataResponseTopic::default()
            .with_name(Some(topic_name(&topic.name)))
            .with_topic_id(uuid::Uuid::from_bytes(topic.id))
            .with_partitions(partitions.collect()),
    )
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
