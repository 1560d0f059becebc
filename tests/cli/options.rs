//! Options that several commands share, and `forebay config`.

use super::{TempFile, check, run};
use forebay_mock_broker::MockBroker;

#[test]
fn options_win_over_properties_and_properties_over_the_file() {
    let broker = MockBroker::builder().start().expect("a broker");
    let file = TempFile::new(b"bootstrap.servers=localhost:1\nclient.id=from-file\nacks=nonsense\n");
    let args = ["perf", "--num-records", "10", "--producer-config", file.path(), "--producer-property", "acks=1"];
    let (_, err) = check(&run(&[&args[..], &["--bootstrap-server", &broker.bootstrap()]].concat()), 0);
    assert!(err.contains("enable.idempotence is false"), "{err}");
    assert_eq!(broker.summary().records(), 10);
}

#[test]
fn config_lists_every_key() {
    let (out, _) = check(&run(&["config"]), 0);
    for spec in forebay::config::keys() {
        assert!(out.contains(spec.name), "{} is missing", spec.name);
    }
    let (out, _) = check(&run(&["config", "--markdown"]), 0);
    assert_eq!(out, forebay::config::reference_markdown());
}
