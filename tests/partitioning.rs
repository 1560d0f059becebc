//! Records without a key and the load of the brokers (KIP-794), against the mock broker.

use forebay::config::ConfigBuilder;
use forebay::{Producer, Record, Sender, Topic};
use forebay_mock_broker::MockBroker;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
/// As much as makes a sender draw its next partition.
const BATCH: usize = 4_000;
const STRETCHES: usize = 600;

struct World {
    broker: MockBroker,
    producer: Producer,
    sender: Sender,
    topic: Topic,
}

/// A topic of two partitions, each led by a node of its own. The second node reads nothing any more.
fn world(settings: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> World {
    let broker = MockBroker::builder().nodes(2).partitions(2).start().expect("a broker on loopback");
    broker.create_topic("t", 2).expect("a topic");
    for partition in 0..2 {
        broker.set_leader("t", partition, partition + 1).expect("there is such a node");
    }
    let builder = Producer::builder().bootstrap_servers(broker.bootstrap());
    let builder =
        builder.configure(|config| settings(config.batch_size(BATCH).linger(Duration::ZERO).max_in_flight(1)));
    let producer = builder.build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    let sender = producer.sender().expect("open");
    let mut world = World { broker, producer, sender, topic };
    world.sync(1);
    world.broker.faults().stall_node(Some(2));
    world
}

impl World {
    /// A record for a partition, and its way into the log: the I/O thread has looked at everything meanwhile.
    fn sync(&mut self, partition: u32) {
        let receipt = self.sender.send(Record::to(self.topic).partition(partition).value(b"")).expect("accepted");
        self.producer.wait(receipt, LONG).expect("delivered");
    }

    /// Records of a whole batch each, without a key; the healthy node keeps up.
    fn send(&mut self, mark: u8, stretches: usize) {
        for _ in 0..stretches {
            self.sender.send(Record::to(self.topic).value(&[mark; BATCH])).expect("accepted");
            self.sync(0);
        }
    }

    /// Ends the stall and everything else: how many records of each mark are in the log of each partition.
    fn end<const MARKS: usize>(self, marks: [u8; MARKS]) -> [[usize; 2]; MARKS] {
        self.broker.faults().stall_node(None);
        self.producer.close(LONG).expect("all delivered");
        let logs = [0, 1].map(|partition| self.broker.records("t", partition));
        marks.map(|mark| {
            let of = |record: &&forebay_mock_broker::StoredRecord| {
                record.value.as_ref().is_some_and(|value| value.first() == Some(&mark))
            };
            [0, 1].map(|log: usize| logs[log].iter().filter(of).count())
        })
    }
}

#[test]
fn a_node_that_is_slow_gets_less_of_the_records_without_a_key() {
    let mut world = world(|settings| settings);
    world.send(b'a', STRETCHES);
    let [[healthy, stalled]] = world.end([b'a']);
    assert_eq!(healthy + stalled, STRETCHES);
    assert!(stalled > 0, "it had a share while nothing was known of it");
    assert!(stalled * 3 < STRETCHES, "{stalled} of {STRETCHES} records went where nothing is taken");
}

/// The queues of the two partitions are known to different threads.
#[test]
fn a_node_that_is_slow_gets_less_whichever_io_thread_has_its_partitions() {
    let mut world = world(|settings| settings.io_threads(2));
    world.send(b'a', STRETCHES);
    let [[healthy, stalled]] = world.end([b'a']);
    assert_eq!(healthy + stalled, STRETCHES);
    assert!(stalled > 0 && stalled * 3 < STRETCHES, "{stalled} of {STRETCHES} records went where nothing is taken");
}

#[test]
fn with_adaptive_partitioning_off_it_gets_its_half() {
    let mut world = world(|settings| settings.adaptive_partitioning(false));
    world.send(b'a', STRETCHES);
    let [[_, stalled]] = world.end([b'a']);
    assert!((STRETCHES * 2 / 5..STRETCHES * 3 / 5).contains(&stalled), "{stalled} of {STRETCHES}");
}

#[test]
fn a_node_that_is_not_available_gets_none() {
    let timeout = Duration::from_millis(50);
    let mut world = world(|settings| settings.availability_timeout(timeout));
    // Long enough for the second node to be owed something, and to be so for longer than the time-out.
    let begun = Instant::now();
    while begun.elapsed() < timeout * 10 {
        world.send(b'a', 20);
    }
    world.send(b'b', STRETCHES);
    let [before, [healthy, stalled]] = world.end([b'a', b'b']);
    assert!(before[1] > 0, "it had its share before");
    assert_eq!((healthy, stalled), (STRETCHES, 0));
}
