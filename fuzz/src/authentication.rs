//! Saying who we are to a peer that answers as it likes: SASL's messages, and the exchanges behind them.
//!
//! Whatever a peer says: nothing panics, requests stay well-formed and in their order, the core comes to rest, no complaint
//! holds the password, and nobody who does not know it gets a producer to speak of anything else (SCRAM's proof of the server,
//! RFC 5802).

use crate::budget::within;
use crate::input::Input;
use forebay_engine::{EngineConfig, Ring};
use forebay_io::core::{Command, ConnId, Core, CoreConfig, Credentials, Request, ScramHash, Wake};
use forebay_io::time::Time;
use forebay_io::topics::TopicTable;
use forebay_io::wire::sasl::{parse_sasl_authenticate, parse_sasl_handshake};
use forebay_io::wire::versions::{ApiKey, supported};
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::protocol::Encodable as _;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &str = "correct-horse-battery";
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
const HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const AUTHENTICATE: i16 = 36;
/// Answers of one input.
const ANSWERS: usize = 24;
const RESTLESS: usize = 1_000;

/// `SaslHandshake` and `SaslAuthenticate` responses. The first byte chooses which, and its version.
pub fn responses(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let version = |api| {
        let ours = supported(api);
        ours.min - 1 + i16::from(choice / 2) % (ours.max - ours.min + 3)
    };
    let body = input.0;
    if choice % 2 == 0 {
        let version = version(ApiKey::SaslHandshake);
        let ours = supported(ApiKey::SaslHandshake);
        let result = within(body.len(), || parse_sasl_handshake(version, body));
        assert!((ours.min..=ours.max).contains(&version) || result.is_err());
        let held = result.map_or(0, |answer| answer.mechanisms.iter().map(|name| name.len() + 2).sum());
        assert!(held <= body.len(), "more than was said");
    } else {
        let version = version(ApiKey::SaslAuthenticate);
        let ours = supported(ApiKey::SaslAuthenticate);
        let result = within(body.len(), || parse_sasl_authenticate(version, body));
        assert!((ours.min..=ours.max).contains(&version) || result.is_err());
        let Ok(answer) = result else { return };
        assert!(answer.bytes.len() + answer.message.as_deref().map_or(0, str::len) <= body.len());
        assert!(version >= 1 || answer.session_lifetime_ms == 0);
    }
}

struct Silent;

impl Ring for Silent {
    fn ring(&self) {}
}

/// A request that waits for its answer.
struct Asked {
    api: i16,
    version: i16,
    correlation: [u8; 4],
}

struct Link {
    conn: ConnId,
    inbox: Vec<u8>,
    asked: VecDeque<Asked>,
}

/// Layout: the mechanism, then answers: how (see `answer`), and what that takes.
pub fn exchange(data: &[u8]) {
    let mut input = Input(data);
    let mechanism = input.below(4);
    let layout = EngineConfig { memory: 16 * 256, segment_size: 256, due_bytes: 256, ahead_bytes: 0 };
    let (_engine, io) = forebay_engine::new(layout, Arc::new(Silent)).expect("a small slab");
    let topics = Arc::new(TopicTable::new());
    let topic = topics.intern("orders").expect("legal");
    let config = CoreConfig {
        sasl: true,
        bootstrap: vec!["node0:9092".to_owned()],
        connection_setup_timeout: Duration::from_millis(300),
        connection_setup_timeout_max: Duration::from_millis(900),
        ..CoreConfig::default()
    };
    let mut core = Core::new(config, io, topics, 7, Time::ZERO);
    let (mut now, mut links) = (Time::ZERO, Vec::<Link>::new());
    core.request(Request::WantTopic(topic), now);
    for _ in 0..ANSWERS {
        settle(&mut core, &mut links, mechanism, now);
        if input.is_empty() {
            break;
        }
        let how = input.byte();
        if how == 255 {
            now = now + Duration::from_millis(u64::from(input.byte()) * 4);
            continue;
        }
        let Some(at) = links.iter().position(|link| !link.asked.is_empty()) else {
            now = now + Duration::from_millis(200);
            continue;
        };
        let Some(asked) = links[at].asked.pop_front() else { continue };
        let body = answer(how, &asked, &mut input);
        let mut frame = ((body.len() + 4) as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&asked.correlation);
        frame.extend_from_slice(&body);
        core.received(links[at].conn, &frame, now);
    }
    core.request(Request::Close { deadline: now + Duration::from_millis(100) }, now);
    settle(&mut core, &mut links, mechanism, now);
    settle(&mut core, &mut links, mechanism, now + Duration::from_secs(1));
    assert!(core.is_closed(), "a close ends");
    assert_eq!(core.free_segments(), core.total_segments());
}

/// Everything that follows until the core waits for its peer, or for time to pass.
fn settle(core: &mut Core, links: &mut Vec<Link>, mechanism: usize, now: Time) {
    for _ in 0..RESTLESS {
        core.turn(now);
        let mut stirred = false;
        while let Some(command) = core.next_command() {
            stirred = true;
            match command {
                Command::Connect { conn, .. } => {
                    links.push(Link { conn, inbox: Vec::new(), asked: VecDeque::new() });
                    core.connected(conn, now);
                }
                Command::Credentials { conn } => core.credentials(conn, Ok(credentials(mechanism)), now),
                Command::Close { conn } => {
                    links.retain(|link| link.conn != conn);
                    core.closed(conn, "closed", now);
                }
            }
        }
        for link in links.iter_mut() {
            stirred |= read(core, link, mechanism, now);
        }
        if core.is_closed() {
            return;
        }
        match core.rest(now) {
            Wake::At(later) if later <= now => {}
            Wake::At(_) | Wake::Never if !stirred => return,
            _ => {}
        }
    }
    panic!("the core never comes to rest");
}

fn credentials(mechanism: usize) -> Credentials {
    let (username, password) = ("user".to_owned(), PASSWORD.to_owned());
    let hash = if mechanism == 2 { ScramHash::Sha512 } else { ScramHash::Sha256 };
    match mechanism {
        0 => Credentials::Plain { username, password },
        1 | 2 => Credentials::Scram { hash, username, password, nonce: NONCE.to_owned() },
        _ => Credentials::OAuthBearer { token: PASSWORD.to_owned(), extensions: Vec::new() },
    }
}

/// Takes what the core has to say. True if it had anything.
fn read(core: &mut Core, link: &mut Link, mechanism: usize, now: Time) -> bool {
    let before = link.inbox.len();
    core.transmit(link.conn, |slice| {
        link.inbox.extend_from_slice(slice);
        true
    });
    let written = link.inbox.len() - before;
    if written == 0 {
        return false;
    }
    core.written(link.conn, written, now);
    while let Some(size) = link.inbox.first_chunk::<4>().map(|size| u32::from_be_bytes(*size) as usize) {
        if link.inbox.len() < 4 + size {
            break;
        }
        let frame: Vec<u8> = link.inbox.drain(..4 + size).skip(4).collect();
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let asked = Asked { api: number(0), version: number(2), correlation: [frame[4], frame[5], frame[6], frame[7]] };
        let authenticates = matches!(asked.api, HANDSHAKE | API_VERSIONS | AUTHENTICATE);
        assert!(
            authenticates || !matches!(mechanism, 1 | 2),
            "request {} to a peer that has proved nothing",
            asked.api
        );
        let text = String::from_utf8_lossy(&frame);
        assert!(asked.api == AUTHENTICATE || !text.contains(PASSWORD), "the password in request {}", asked.api);
        assert!(!matches!(mechanism, 1 | 2) || !text.contains(PASSWORD), "SCRAM never sends the password");
        link.asked.push_back(asked);
    }
    true
}

/// The body of an answer, the tags of its header included: bytes of the input, or the expected shape around them.
fn answer(how: u8, asked: &Asked, input: &mut Input<'_>) -> Vec<u8> {
    let len = usize::from(input.byte());
    let bytes = input.bytes(len);
    match (how % 4, asked.api) {
        (0, _) => bytes.to_vec(),
        (_, API_VERSIONS) => greeting(asked.version),
        (_, HANDSHAKE) => [&[0, 0, 0, 0, 0, 1, 0, 5][..], b"PLAIN"].concat(),
        (shape, AUTHENTICATE) => {
            // SCRAM's first answer must go on with our nonce to get anywhere.
            let first = [b"r=", NONCE.as_bytes(), bytes].concat();
            authenticate(asked.version, if shape == 1 { &first } else { bytes })
        }
        _ => bytes.to_vec(),
    }
}

fn greeting(version: i16) -> Vec<u8> {
    let keys = [(0, 3, 11), (3, 4, 12), (API_VERSIONS, 0, 3), (22, 0, 4), (HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 2)]
        .map(|(key, min, max)| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max));
    let mut body = bytes::BytesMut::new();
    let response = ApiVersionsResponse::default().with_api_keys(keys.to_vec());
    response.encode(&mut body, version).expect("encodes");
    body.to_vec()
}

/// No error, no message, these bytes, and a session of one second.
fn authenticate(version: i16, bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    if version >= 2 {
        body.extend_from_slice(&[0, 0, 0, 0]); // the header's tags, the error, no message
        let mut len = bytes.len() + 1;
        while len >= 0x80 {
            body.push(len as u8 | 0x80);
            len >>= 7;
        }
        body.push(len as u8);
    } else {
        body.extend_from_slice(&[0, 0, 0xff, 0xff]);
        body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    }
    body.extend_from_slice(bytes);
    if version >= 1 {
        body.extend_from_slice(&1_000i64.to_be_bytes());
    }
    if version >= 2 {
        body.push(0);
    }
    body
}
