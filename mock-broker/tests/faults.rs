//! What goes wrong on demand, and what garbage from a client does.

mod support;

use std::io::{Read, Write};

use forebay_mock_broker::{FaultSpec, MockBroker};
use kafka_protocol::messages::ApiVersionsRequest;
use support::{Client, batch, idempotent, produce, values};

fn broker(fault: &str) -> (MockBroker, Client) {
    let broker = MockBroker::builder().fault(fault.parse().unwrap()).start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    (broker, client)
}

fn set(broker: &MockBroker, fault: &str) {
    broker.faults().set(fault.parse::<FaultSpec>().unwrap());
}

#[test]
fn errors_come_before_or_after_appending() {
    let (broker, mut client) = broker("produce-error=19:next=1");
    let first = client.produce("t", 0, batch(&[b"a"]));
    assert_eq!((first.error_code, first.base_offset), (19, -1));
    set(&broker, "produce-error=20:every=2:after-append");
    let codes = [b"b", b"c", b"d", b"e"].map(|value| client.produce("t", 0, batch(&[value])).error_code);
    assert_eq!(codes, [0, 20, 0, 20]);
    assert_eq!(values(&broker, "t", 0), [b"b", b"c", b"d", b"e"]);
    broker.faults().clear();
    assert!((0..4).all(|_| client.produce("t", 0, batch(&[b"f"])).error_code == 0));
}

#[test]
fn a_connection_drops_before_or_after_appending() {
    let (broker, mut client) = broker("drop-connection=next:1");
    assert!(client.try_produce("t", 0, idempotent(1, 0, 0, 1, b"a")).is_err());
    assert!(broker.records("t", 0).is_empty());
    set(&broker, "drop-connection=next:1:after-append");
    let mut client = Client::connect(&broker, 0);
    assert!(client.try_produce("t", 0, idempotent(1, 0, 0, 1, b"a")).is_err());
    assert_eq!(values(&broker, "t", 0), [b"a"]);
    let mut client = Client::connect(&broker, 0);
    let retried = client.produce("t", 0, idempotent(1, 0, 0, 1, b"a"));
    assert_eq!((retried.error_code, retried.base_offset), (0, 0));
    assert_eq!(values(&broker, "t", 0), [b"a"]);
}

#[test]
fn stalled_reads_resume() {
    let (broker, mut client) = broker("throttle-ms=50");
    broker.faults().stall_reads(true);
    client.send(12, &produce("t", 0, -1, batch(&[b"a"]))).unwrap();
    assert!(client.is_silent());
    assert_eq!(broker.summary().requests("Produce"), 0);
    broker.faults().stall_reads(false);
    client.receive().unwrap();
    assert_eq!(broker.summary().requests("Produce"), 1);
}

#[test]
fn stalled_responses_come_later_and_in_order() {
    let (broker, mut client) = broker("throttle-ms=50");
    broker.faults().stall_responses(true);
    for value in [b"a", b"b", b"c"] {
        client.send(12, &produce("t", 0, -1, batch(&[value]))).unwrap();
    }
    assert!(client.is_silent());
    assert_eq!(values(&broker, "t", 0), [b"a", b"b", b"c"]);
    broker.faults().stall_responses(false);
    let ids = [0; 3].map(|_| client.receive().unwrap().0);
    assert_eq!(ids, [2, 3, 4]);
}

#[test]
fn delayed_and_dribbled_answers_are_whole_and_in_order() {
    let (broker, mut client) = broker("delay-ms=5");
    set(&broker, "short-writes=3");
    set(&broker, "throttle-ms=70");
    for value in [b"a", b"b", b"c"] {
        client.send(12, &produce("t", 0, -1, batch(&[value]))).unwrap();
    }
    broker.faults().clear();
    let ids = [0; 3].map(|_| client.receive().unwrap().0);
    assert_eq!(ids, [2, 3, 4]);
    set(&broker, "throttle-ms=70");
    assert_eq!(client.try_produce("t", 0, batch(&[b"d"])).unwrap().throttle_time_ms, 70);
}

#[test]
fn no_answer_overtakes_one_that_is_held_back() {
    let (broker, mut client) = broker("delay-ms=300");
    client.send(12, &produce("t", 0, -1, batch(&[b"a"]))).unwrap();
    while broker.summary().requests("Produce") < 1 {
        std::thread::yield_now();
    }
    broker.faults().clear();
    client.send(12, &produce("t", 0, -1, batch(&[b"b"]))).unwrap();
    let ids = [0; 2].map(|_| client.receive().unwrap().0);
    assert_eq!(ids, [2, 3]);
}

#[test]
fn leaders_move_under_a_request() {
    let broker = MockBroker::builder().nodes(2).start().unwrap();
    broker.create_topic("t", 1).unwrap();
    broker.set_leader("t", 0, 1).unwrap();
    set(&broker, "leader-move=every=2");
    let mut clients = [Client::connect(&broker, 0), Client::connect(&broker, 1)];
    assert_eq!(clients[0].produce("t", 0, batch(&[b"a"])).error_code, 0);
    let moved = clients[0].produce("t", 0, batch(&[b"b"]));
    assert_eq!((moved.error_code, moved.current_leader.leader_id.0), (6, 2));
    assert_eq!(clients[1].produce("t", 0, batch(&[b"b"])).error_code, 0);
    assert_eq!(clients[1].metadata("t").topics[0].partitions[0].leader_id.0, 2);
}

#[test]
fn garbage_has_the_right_frame_and_a_truncated_answer_ends_the_connection() {
    let (broker, mut client) = broker("garbage=next=1");
    client.send(12, &produce("t", 0, -1, batch(&[b"a"]))).unwrap();
    let (id, garbage) = client.receive().unwrap();
    assert_eq!(id, 2);
    client.send(12, &produce("t", 0, -1, batch(&[b"b"]))).unwrap();
    let (_, good) = client.receive().unwrap();
    assert_eq!(garbage.len(), good.len());
    assert_ne!(garbage[4..], good[4..]);
    set(&broker, "truncate=next=1");
    client.send(12, &produce("t", 0, -1, batch(&[b"c"]))).unwrap();
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).unwrap();
    let whole = good.len() + 4;
    assert_eq!(rest.len(), whole / 2);
}

#[test]
fn rejected_connections_close_at_once() {
    let broker = MockBroker::builder().start().unwrap();
    let mut before = Client::connect(&broker, 0);
    before.metadata("t");
    broker.faults().reject_connections(true);
    assert!(Client::connect(&broker, 0).is_closed());
    assert_eq!(before.produce("t", 0, batch(&[b"a"])).error_code, 0);
    broker.faults().reject_connections(false);
    assert_eq!(Client::connect(&broker, 0).call(4, &ApiVersionsRequest::default()).error_code, 0);
}

#[test]
fn a_stopped_node_is_gone_and_comes_back_with_its_log() {
    let broker = MockBroker::builder().nodes(2).start().unwrap();
    broker.create_topic("t", 1).unwrap();
    let mut first = Client::connect(&broker, 0);
    assert_eq!(first.produce("t", 0, batch(&[b"a"])).error_code, 0);
    broker.stop_node(1).unwrap();
    assert!(first.is_closed());
    assert!(Client::try_connect(&broker, 0).is_err());
    let mut second = Client::connect(&broker, 1);
    let metadata = second.metadata("t");
    assert_eq!(metadata.brokers.len(), 1);
    assert_eq!(metadata.topics[0].partitions[0].leader_id.0, 2);
    assert_eq!(second.produce("t", 0, batch(&[b"b"])).base_offset, 1);
    broker.start_node(1).unwrap();
    assert_eq!(Client::connect(&broker, 0).produce("t", 0, batch(&[b"c"])).error_code, 6);
    broker.stop_node(2).unwrap();
    assert_eq!(Client::connect(&broker, 0).produce("t", 0, batch(&[b"c"])).base_offset, 2);
    assert!(broker.start_node(9).is_err());
}

#[test]
fn garbage_from_a_client_costs_only_its_connection() {
    let broker = MockBroker::builder().start().unwrap();
    let mut witness = Client::connect(&broker, 0);
    witness.metadata("t");
    let mut good = Client::connect(&broker, 0);
    // A size beyond the limit, a negative one, one too small for a header.
    for size in [u32::MAX, 101 << 20, 7] {
        let mut client = Client::connect(&broker, 0);
        client.stream.write_all(&size.to_be_bytes()).unwrap();
        assert!(client.is_closed(), "size {size}");
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..300 {
        // A real API and version, then anything.
        let key = random.choice([0_i16, 1, 2, 3, 10, 18, 22, 99]).unwrap();
        let mut body = [key.to_be_bytes(), random.i16(0..14).to_be_bytes()].concat();
        body.extend([0, 0, 0, 1, 0xFF, 0xFF]);
        body.extend((0..random.usize(..120)).map(|_| if random.bool() { 0 } else { random.u8(..) }));
        let mut client = Client::connect(&broker, 0);
        client.stream.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        client.stream.write_all(&body).unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Answered or not, it ends.
        let mut rest = Vec::new();
        if let Err(error) = client.stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "round {round}");
        }
    }
    // A whole request whose array is said to have two billion elements.
    let mut client = Client::connect(&broker, 0);
    client.stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]).unwrap();
    assert!(client.is_closed());
    assert_eq!(good.produce("t", 0, batch(&[b"fine"])).error_code, 0);
    assert!(broker.summary().malformed_requests > 0);
}

#[test]
fn requests_arrive_in_any_pieces() {
    let broker = MockBroker::builder().start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    client.stream.set_nodelay(true).unwrap();
    let large = vec![9; 700_000];
    for round in 0..3 {
        assert_eq!(client.produce("t", 0, batch(&[&large])).base_offset, round * 2);
        assert_eq!(client.produce("t", 0, batch(&[b"small"])).base_offset, round * 2 + 1);
    }
    // Many at once, then byte by byte.
    let frame = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xFF, 0xFF];
    client.stream.write_all(&frame.repeat(5000)).unwrap();
    for _ in 0..5000 {
        assert_eq!(client.receive().unwrap().0, 7);
    }
    for byte in frame {
        client.stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(client.receive().unwrap().0, 7);
}
