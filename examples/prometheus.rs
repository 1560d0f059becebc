//! A producer's figures where Prometheus reads them. `cargo run --example prometheus` scrapes itself once and checks what it
//! gets; `cargo run --example prometheus 127.0.0.1:9184` serves until it is stopped.
//!
//! `Metrics::to_prometheus` makes the text at the moment of the scrape, and a listener of the standard library is enough to
//! answer one scraper: no exporter crate, no recorder in the process, nothing that runs between scrapes. A program that
//! has an exporter already (the `metrics` facade) turns on the Cargo feature `metrics` instead and writes nothing of this.

use forebay::{Producer, Record};
use forebay_mock_broker::MockBroker;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const RECORDS: u64 = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked = std::env::args().nth(1);
    let listener = TcpListener::bind(asked.as_deref().unwrap_or("127.0.0.1:0"))?;
    let address = listener.local_addr()?;

    let broker = MockBroker::builder().partitions(4).start()?;
    let producer = Producer::builder().bootstrap_servers(broker.bootstrap()).set("client.id", "shop").build()?;
    let orders = producer.topic("orders")?;
    let mut sender = producer.sender()?;
    for _ in 0..RECORDS {
        sender.send(Record::to(orders).value(&[7; 100])).map_err(|refused| refused.kind)?;
    }
    producer.flush(LONG)?;

    let served = producer.clone();
    thread::spawn(move || serve(&listener, &served));
    println!("serving http://{address}/metrics");
    if asked.is_some() {
        loop {
            sender.send(Record::to(orders).value(&[7; 100])).map_err(|refused| refused.kind)?;
            thread::sleep(Duration::from_millis(1));
        }
    }

    let text = scrape(address)?;
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or("").to_owned();
    let delivered = line("kafka_producer_record_delivered_total{");
    assert_eq!(delivered, format!("kafka_producer_record_delivered_total{{client_id=\"shop\"}} {RECORDS}"));
    let of_topic = line("kafka_producer_topic_record_send_total{");
    assert!(of_topic.starts_with("kafka_producer_topic_record_send_total{client_id=\"shop\",topic=\"orders\"}"));
    println!("{delivered}\n{of_topic}\n{}", line("kafka_producer_request_latency_p99{"));
    producer.close(LONG)?;
    Ok(())
}

/// Answers one request after the other: a scraper comes every few seconds, and one is enough.
fn serve(listener: &TcpListener, producer: &Producer) {
    for stream in listener.incoming().flatten() {
        // A scraper that went away gets nothing; the next one does.
        if let Err(error) = answer(&stream, producer) {
            eprintln!("a scrape failed: {error}");
        }
    }
}

fn answer(mut stream: &TcpStream, producer: &Producer) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream.take(8192)).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break; // the end of the head; a GET has no body
        }
    }
    let (status, body) = match request.split(' ').collect::<Vec<_>>()[..] {
        ["GET", "/metrics", ..] => ("200 OK", producer.metrics().to_prometheus()),
        ["GET", ..] => ("404 Not Found", "the figures are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET /metrics\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What Prometheus does.
fn scrape(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    Ok(text)
}
