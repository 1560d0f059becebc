//! The Kafka part by hand: no I/O thread, no poll, one loop of this program's own. `cargo run --example sans_io`
//!
//! `forebay_io::core::Core` decides everything and does nothing: this loop opens the sockets, moves the bytes and reads the
//! clock. Here they are blocking sockets of std with short timeouts; an embedder's event loop, or a simulation, goes in
//! their place.

use forebay_engine::{EngineConfig, Ring};
use forebay_io::core::{Command, ConnId, Core, CoreConfig, Request, Wake};
use forebay_io::time::Time;
use forebay_io::topics::TopicTable;
use forebay_io::wire::record::{HEAD_MAX, Shape, encode_to};
use forebay_mock_broker::MockBroker;
use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECORDS: u64 = 1_000;
/// How long a read waits: with one thread for everything it is also how long a record may lie.
const PATIENCE: Duration = Duration::from_millis(1);

/// Nobody sleeps for long here, so nobody has to be woken.
struct NoBell;

impl Ring for NoBell {
    fn ring(&self) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().start()?;
    let layout = EngineConfig { memory: 1 << 20, segment_size: 4096, due_bytes: 16 << 10, ahead_bytes: 64 << 10 };
    let (engine, io) = forebay_engine::new(layout, Arc::new(NoBell))?;
    let topics = Arc::new(TopicTable::new());
    let orders = topics.intern("orders")?;
    let config = CoreConfig { bootstrap: vec![broker.bootstrap().clone()], ..CoreConfig::default() };
    let mut core = Core::new(config, io, topics, 7, Time::ZERO);
    let mut sockets = HashMap::new();
    let start = Instant::now();
    let now = || Time(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));

    // The sender's side: a lane for one partition, a record in wire format, a commit.
    let end = engine.producer_end();
    let mut lane = end.lane(orders.lane_tag(0))?;
    let timestamp = 1_700_000_000_000_i64;
    lane.set_window(timestamp & !8191); // all records of a batch count from the start of their window
    for number in 0..RECORDS {
        let value = number.to_be_bytes();
        let shape = Shape::measure(timestamp & 8191, None, Some(value.len()), &[]).ok_or("too large for Kafka")?;
        let mut claim = lane.claim(shape.total_len, HEAD_MAX.min(shape.total_len))?;
        encode_to(&shape, timestamp & 8191, None, Some(&value), &[], &mut |piece| claim.put(piece));
        claim.commit()?;
    }
    drop(lane);

    core.request(Request::Close { deadline: now() + Duration::from_secs(30) }, now());
    let mut delivered = 0;
    while !core.is_closed() {
        core.turn(now());
        carry_out(&mut core, &mut sockets, now());
        write(&mut core, &mut sockets, now());
        for report in core.reports().drain(..) {
            report.result.map_err(|failure| format!("not delivered: {failure:?}"))?;
            delivered += u64::from(report.count);
        }
        core.flushed().clear();
        // `rest` says how long may be slept; a read's timeout is sleep enough here.
        if !matches!(core.rest(now()), Wake::Now | Wake::Spin) {
            read(&mut core, &mut sockets, &now);
        }
    }
    assert_eq!(delivered, RECORDS);
    assert_eq!(broker.records("orders", 0).len() as u64, RECORDS);
    assert_eq!(engine.available_bytes(), engine.total_bytes(), "all memory is back");
    println!("{delivered} records delivered by a loop of one's own");
    Ok(())
}

type Sockets = HashMap<ConnId, TcpStream>;

fn carry_out(core: &mut Core, sockets: &mut Sockets, now: Time) {
    while let Some(command) = core.next_command() {
        match command {
            Command::Connect { conn, host, port, .. } => {
                let opened = TcpStream::connect((&*host, port))
                    .and_then(|socket| socket.set_read_timeout(Some(PATIENCE)).map(|()| socket));
                match opened {
                    Ok(socket) => {
                        sockets.insert(conn, socket);
                        core.connected(conn, now);
                    }
                    Err(error) => core.closed(conn, &error.to_string(), now),
                }
            }
            Command::Close { conn } => lose(core, sockets, conn, "closed", now),
            Command::Credentials { conn } => core.credentials(conn, Err("nobody was to ask".to_owned()), now),
        }
    }
}

/// No byte of a connection may be written after this: its records' memory is given away.
fn lose(core: &mut Core, sockets: &mut Sockets, conn: ConnId, why: &str, now: Time) {
    sockets.remove(&conn);
    core.closed(conn, why, now);
}

fn write(core: &mut Core, sockets: &mut Sockets, now: Time) {
    let open: Vec<ConnId> = sockets.keys().copied().collect();
    for conn in open {
        while core.wants_write(conn) {
            let Some(mut socket) = sockets.get(&conn) else { break };
            // The first slice; a real driver gathers many for one `writev`.
            let mut first: Option<&[u8]> = None;
            core.transmit(conn, |slice| {
                first = Some(slice);
                false
            });
            let result = first.map_or(Ok(0), |slice| socket.write(slice));
            match result {
                Ok(written) => core.written(conn, written, now),
                Err(error) => lose(core, sockets, conn, &error.to_string(), now),
            }
        }
    }
}

fn read(core: &mut Core, sockets: &mut Sockets, now: &impl Fn() -> Time) {
    let mut buffer = [0; 16 << 10];
    let open: Vec<ConnId> = sockets.keys().copied().collect();
    if open.is_empty() {
        std::thread::sleep(PATIENCE);
    }
    for conn in open {
        let Some(mut socket) = sockets.get(&conn) else { continue };
        match socket.read(&mut buffer) {
            Ok(0) => lose(core, sockets, conn, "closed by the broker", now()),
            Ok(len) => core.received(conn, &buffer[..len], now()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => lose(core, sockets, conn, &error.to_string(), now()),
        }
    }
}
