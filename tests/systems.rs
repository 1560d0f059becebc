//! What only some systems have: used there, and elsewhere refused with the way out. `cargo xtask portable` runs this file, and
//! whatever else goes another way there, as a system would that has none of it.

use forebay::{BuildError, Producer, Record};
use forebay_mock_broker::MockBroker;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
/// As small as a buffer may be: any limit on locked memory allows it.
const SMALL: &str = "65536";

fn built(settings: &[(&str, &str)]) -> Result<(MockBroker, Producer), BuildError> {
    let broker = MockBroker::builder().start().expect("a broker on loopback");
    let mut builder = Producer::builder().bootstrap_servers(broker.bootstrap()).set("buffer.memory", SMALL);
    for (key, value) in settings {
        builder = builder.set(*key, *value);
    }
    builder.build().map(|producer| (broker, producer))
}

fn delivers(producer: &Producer) {
    let topic = producer.topic("t").expect("a name");
    let mut sender = producer.sender().expect("open");
    // With pauses longer than a lane lives: it is retired, and taken back, by the barrier of this system.
    for _ in 0..20 {
        let receipt = sender.send(Record::to(topic).value(b"x")).expect("accepted");
        let delivery = producer.wait(receipt, LONG).expect("delivered");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!((now.as_millis() as i64 - delivery.timestamp).abs() < 60_000, "{} is not now", delivery.timestamp);
        std::thread::sleep(Duration::from_millis(15));
    }
    producer.close(LONG).expect("all delivered");
}

#[test]
fn records_are_delivered_with_the_time_of_this_system() {
    let (_broker, producer) = built(&[]).expect("a producer");
    delivers(&producer);
}

#[test]
#[cfg(all(unix, not(forebay_portable)))]
fn memory_is_locked_where_that_is_possible() {
    let (_broker, producer) = built(&[("memory.lock", "true")]).expect("64 KiB may be locked");
    delivers(&producer);
}

#[test]
#[cfg(any(not(unix), forebay_portable))]
fn memory_that_cannot_be_locked_is_an_error_that_names_the_setting() {
    let error = built(&[("memory.lock", "true")]).expect_err("refused").to_string();
    assert!(error.contains("memory.lock=false"), "{error}");
}

/// No machine has so many.
const NO_CPU: &str = "4095";

#[test]
fn a_cpu_that_is_not_there_is_an_error_that_names_the_setting() {
    let error = built(&[("io.cpu", NO_CPU)]).expect_err("refused").to_string();
    assert!(error.contains("io.cpu=4095"), "{error}");
    let portable = cfg!(any(not(target_os = "linux"), forebay_portable));
    assert_eq!(error.contains("on Linux only"), portable, "{error}");
}

#[test]
#[cfg(all(target_os = "linux", not(forebay_portable)))]
fn each_io_thread_stays_on_a_cpu_of_its_own_or_none_is_left() {
    let allowed = std::fs::read_to_string("/proc/thread-self/status").expect("Linux");
    let allowed = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a list").trim();
    let last: usize = allowed.rsplit([',', '-']).next().expect("not empty").parse().expect("a number");
    // The thread behind the last CPU's finds none.
    let before = io_threads();
    let settings = [("io.threads", "2"), ("buffer.memory", "131072"), ("io.cpu", &*last.to_string())];
    let error = built(&settings).expect_err("refused").to_string();
    assert!(error.contains(&format!("io.cpu={}", last + 1)), "{error}");
    if let Some(first) = last.checked_sub(1).filter(|_| allowed.contains(&format!("-{last}"))) {
        let settings = [("io.threads", "2"), ("buffer.memory", "131072"), ("io.cpu", &*first.to_string())];
        let (_broker, producer) = built(&settings).expect("two neighbours");
        let stay: Vec<_> = io_threads().into_iter().filter(|thread| !before.contains(thread)).collect();
        let expected = [first, last].map(|cpu| cpu.to_string());
        assert!(expected.iter().all(|cpu| stay.iter().any(|(_, allowed)| allowed == cpu)), "{stay:?}");
        delivers(&producer);
    }
}

/// The I/O threads of this process: name and the CPUs that each may use.
#[cfg(all(target_os = "linux", not(forebay_portable)))]
fn io_threads() -> Vec<(String, String)> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").filter_map(Result::ok);
    let status = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    let line =
        |text: &str, name| text.lines().find_map(|line: &str| line.strip_prefix(name)).map(|v| v.trim().to_owned());
    status
        .filter_map(|text| Some((line(&text, "Name:")?, line(&text, "Cpus_allowed_list:")?)))
        .filter(|(name, _)| name.starts_with("forebay-io"))
        .collect()
}
