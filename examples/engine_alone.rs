//! The engine without Kafka: threads hand messages to one consumer through bounded memory. `cargo run --example engine_alone`
//!
//! 64 KiB of slab serve all threads. A full slab makes a sender wait in line; what the consumer has released goes to who
//! waits longest. The engine knows neither messages nor clocks: here a message is its length and its bytes.

use forebay_engine::{ClaimError, EngineConfig, IoSide, Lane, ProducerEnd, Ring, Sleep};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

const SENDERS: u64 = 4;
const MESSAGES: u64 = 20_000;
/// Bytes of a message's length, which never straddle two segments.
const HEAD: usize = 4;

/// What the consumer sleeps on. A Kafka producer has an eventfd here.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Ring for Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

impl Bell {
    fn wait(&self) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rung = self.changed.wait_while(rung, |rung| !*rung).unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bell = Arc::new(Bell::default());
    let config = EngineConfig { memory: 64 << 10, segment_size: 4096, due_bytes: 16 << 10, ahead_bytes: 16 << 10 };
    let (engine, io) = forebay_engine::new(config, bell.clone())?;

    let counts = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|tag| {
                let mut end = engine.producer_end();
                scope.spawn(move || send_all(&mut end, tag))
            })
            .collect();
        let consumer = scope.spawn(move || consume(io, &bell));
        for sender in senders {
            sender.join().map_err(|_| "a sender panicked")??;
        }
        consumer.join().map_err(|_| "the consumer panicked".into())
    })
    .map_err(|error: Box<dyn std::error::Error + Send + Sync>| error.to_string())?;

    assert_eq!(counts, [MESSAGES; SENDERS as usize]);
    assert_eq!(engine.available_bytes(), engine.total_bytes(), "all memory is back");
    println!("{} messages of {SENDERS} threads through {} bytes", MESSAGES * SENDERS, engine.total_bytes());
    Ok(())
}

fn send_all(end: &mut ProducerEnd, tag: u64) -> Result<(), ClaimError> {
    let mut lane = end.lane(tag)?;
    for number in 0..MESSAGES {
        let text = format!("message {number} of sender {tag}");
        let mut message = ((HEAD + text.len()) as u32).to_le_bytes().to_vec();
        message.extend_from_slice(text.as_bytes());
        send(end, &mut lane, &message)?;
    }
    Ok(()) // the lane is dropped: the consumer still gets what it holds
}

fn send(end: &mut ProducerEnd, lane: &mut Lane, message: &[u8]) -> Result<(), ClaimError> {
    // The closure is called only where the claim is refused; it waits for what the claim needs, in line with others.
    let mut claim = lane.claim_or(message.len(), HEAD, |refused| {
        let ClaimError::Full { segments } = refused else { return Err(refused) };
        end.begin_wait(segments)?;
        loop {
            if let Some(grant) = end.poll_wait()? {
                return Ok(grant);
            }
            end.park(None);
        }
    })?;
    claim.put(message);
    claim.commit()
}

/// Reads until every sender has dropped its lane. Answers how many messages each has sent.
fn consume(mut io: IoSide, bell: &Bell) -> [u64; SENDERS as usize] {
    let (mut active, mut gone, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    let mut streams: [Vec<u8>; SENDERS as usize] = Default::default();
    let mut counts = [0; SENDERS as usize];
    let mut left = SENDERS;
    loop {
        io.collect_ready(&mut active);
        for lane in &active {
            let tag = io.lane_tag(*lane);
            let stream = &mut streams[tag as usize];
            io.observe(*lane);
            io.take(*lane, &mut runs, |slice| {
                stream.extend_from_slice(slice);
                slice.len()
            });
            counts[tag as usize] += read(stream, tag, counts[tag as usize]);
        }
        // A network client keeps its runs until they are acknowledged; until then nobody gets their memory.
        for run in runs.drain(..) {
            io.release(run);
        }
        io.settle();
        // Drained lanes give their memory back and ring the bell when they come to life again.
        io.retire(&mut active, &mut gone);
        for lane in gone.drain(..) {
            io.forget(lane);
            left -= 1;
        }
        io.settle();
        if left == 0 {
            return counts;
        }
        if active.is_empty() && io.prepare_sleep(Sleep::Deep) {
            bell.wait();
            io.awake();
        }
    }
}

/// Takes the whole messages at the front of `stream`, checks them and counts them.
fn read(stream: &mut Vec<u8>, tag: u64, first: u64) -> u64 {
    let (mut at, mut count) = (0, 0);
    while let Some(head) = stream.get(at..at + HEAD).and_then(|head| head.try_into().ok()) {
        let Some(message) = stream.get(at + HEAD..at + u32::from_le_bytes(head) as usize) else { break };
        let expected = format!("message {} of sender {tag}", first + count);
        assert_eq!(message, expected.as_bytes(), "messages of a sender keep their order");
        count += 1;
        at += HEAD + message.len();
    }
    stream.drain(..at);
    count
}
