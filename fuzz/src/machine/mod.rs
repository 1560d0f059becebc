//! The sans-IO core between arbitrary peers: bytes, splits, order and time as the input says.
//!
//! Each input is played twice, the second time with every read and write cut into small pieces. What is promised:
//! nothing panics; the core comes to rest; whatever peers answer, the client's requests stay well-formed; each record
//! has one outcome, in order, and every flush ends; all memory comes back; and splits make no difference. While no
//! answer was tampered with, a delivered record was accepted by a peer, at the offset that it told.

mod peer;
mod world;

use self::world::World;
use crate::input::Input;
use forebay_io::core::{Acks, CoreConfig};
use std::time::Duration;

/// Most operations of an input.
const OPERATIONS: usize = 300;

/// Layout: seven bytes of settings, then operations: a byte that names it (low half) and what it is done to (high
/// half), and its arguments.
pub fn play(data: &[u8]) {
    let whole = live(data, false);
    let split = live(data, true);
    for (at, (one, other)) in whole.iter().zip(&split).enumerate() {
        assert_eq!(one, other, "event {at} depends on how bytes are split");
    }
    assert_eq!(whole.len(), split.len(), "what happens depends on how bytes are split");
}

/// One life, from the first record to the close. Answers what could be seen of it.
fn live(data: &[u8], pieces: bool) -> Vec<world::Event> {
    let mut input = Input(data);
    let (config, segments, ending) = settings(&mut input);
    let mut world = World::new(config, segments, pieces);
    for _ in 0..OPERATIONS {
        if input.is_empty() {
            break;
        }
        step(&mut world, &mut input);
    }
    world.end(ending)
}

/// How peers behave while the producer closes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Ending {
    /// They answer.
    Answered,
    /// They read and say nothing.
    Silent,
    /// Nobody can be reached.
    Refused,
}

fn settings(input: &mut Input<'_>) -> (CoreConfig, usize, Ending) {
    let ms = Duration::from_millis;
    let choice = input.byte();
    let acks = [Acks::All, Acks::All, Acks::Leader, Acks::None][usize::from(choice & 3)];
    let idempotent = acks == Acks::All && choice & 4 == 0;
    let bootstrap: &[&str] = if choice & 8 == 0 { &["node0:9092"] } else { &["node0:9092", "node1:9093"] };
    let ending = [Ending::Answered, Ending::Answered, Ending::Silent, Ending::Refused][usize::from(choice >> 4 & 3)];
    let batch_max_bytes = 300 + usize::from(input.byte()) * 32;
    let max_in_flight = 1 + input.below(5);
    let timing = input.byte();
    let config = CoreConfig {
        bootstrap: bootstrap.iter().map(|&address| address.to_owned()).collect(),
        acks,
        enable_idempotence: idempotent,
        max_in_flight,
        linger: ms(u64::from(timing % 16)),
        batch_size: 100 + usize::from(input.byte()) * 8,
        batch_max_bytes,
        max_request_size: batch_max_bytes + 200 * input.below(8),
        request_timeout: ms(500),
        // The shorter one ends while a first request may still be answered.
        delivery_timeout: ms(if timing < 128 { 2_000 } else { 520 }),
        retries: if idempotent || choice & 64 == 0 { i32::MAX as u32 } else { u32::from(choice >> 7) },
        metadata_max_age: Duration::from_secs(5),
        metadata_max_idle: Duration::from_secs(5),
        connections_max_idle: Duration::from_secs(9),
        connection_setup_timeout: ms(300),
        connection_setup_timeout_max: ms(900),
        ..CoreConfig::default()
    };
    (config, 16 + input.below(8) * 16, ending)
}

fn step(world: &mut World, input: &mut Input<'_>) {
    let operation = input.byte();
    let which = usize::from(operation >> 4);
    match operation & 15 {
        0 => {
            let size = usize::from(input.byte()) * 4;
            world.send(which, size);
        }
        1 => {
            let count = 1 + input.below(32);
            (0..count).for_each(|_| world.send(which, 24));
        }
        2 => world.turn(),
        3 => world.sleep(),
        4 => {
            let unit = [1_000, 1_000_000, 20_000_000, 1_000_000_000][which % 4];
            world.wait(Duration::from_nanos(unit * u64::from(input.byte())));
        }
        5 => world.pump(),
        6 => world.obey(which),
        7 => {
            let most = usize::from(input.byte()) * (1 + which / 4 * 16);
            world.write(which, most);
        }
        8 => {
            let details = input.below(16);
            let details = input.bytes(details);
            world.answer(which, details);
        }
        9 => {
            let most = usize::from(input.byte()) * (1 + which / 4 * 16);
            world.deliver(which, most);
        }
        10 => {
            let (kind, at) = (input.byte(), usize::from(input.word()));
            let bytes = input.below(16);
            let bytes = input.bytes(bytes);
            world.tamper(which, kind, at, bytes);
        }
        11 => {
            let body = usize::from(input.byte());
            let body = input.bytes(body);
            world.answer_with(which, body);
        }
        12 => world.reset(which),
        13 => world.swap(which),
        14 => match which % 4 {
            0 => world.flush(),
            1 => world.drop_lane(input.below(8)),
            2 => world.want_memory(1 + input.below(40) as u32),
            _ => world.answer_all(),
        },
        _ => match which {
            // A close ends most of what can happen: it is rare.
            15 => world.close(Duration::from_millis(u64::from(input.byte()) * 16)),
            _ => world.turn(),
        },
    }
}
