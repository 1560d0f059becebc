//! Interceptors: code of the application that sees each record before it is encoded, and each outcome (KIP-42).

use crate::error::SendErrorKind;
use crate::hub::Callback;
use crate::producer::Inner;
use crate::{DeliveryReport, Header, Record, Topic};
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Sees, and may change, each record before it is encoded, and sees each outcome. Kafka's `ProducerInterceptor`
/// (KIP-42): given to the builder by [`ProducerBuilder::interceptor`](crate::ProducerBuilder::interceptor), called in the
/// order in which they were given, each with what the one before has made of the record.
///
/// An interceptor cannot break a send: a panic in it is caught and logged, and the record goes on as it was before this
/// interceptor. One instance serves all threads. A producer without interceptors pays nothing for them.
///
/// ```
/// use forebay::{InterceptedRecord, Interceptor};
///
/// /// Says in each record which service has sent it.
/// struct Origin(String);
///
/// impl Interceptor for Origin {
///     fn on_send(&self, record: &mut InterceptedRecord<'_>) {
///         record.add_header("origin", self.0.as_bytes().to_vec());
///     }
/// }
///
/// let builder = forebay::Producer::builder().interceptor(Origin("billing".into()));
/// ```
pub trait Interceptor: Send + Sync {
    /// A record is about to be partitioned and encoded. Called on the sending thread, once for each `send` and its kin; for
    /// [`Sender::reserve`](crate::Sender::reserve) the value does not exist yet: it is `None`, and setting it has no effect.
    ///
    /// The size of the record as it leaves the interceptors is what counts against the limits.
    fn on_send(&self, record: &mut InterceptedRecord<'_>) {
        let _ = record;
    }

    /// Outcomes, on the I/O thread and before the delivery callback: what holds for
    /// [`ProducerBuilder::on_delivery`](crate::ProducerBuilder::on_delivery) holds here as well, but for panics.
    fn on_acknowledgement(&self, report: &DeliveryReport<'_>) {
        let _ = report;
    }

    /// A record was refused by `send`: it has no receipt, and no report of it will come. Also of `send_async`'s, when it is dropped before
    /// it has resolved; `why` is then why the record was not accepted so far. Called on the thread that sends, polls or drops; `record` is
    /// what the interceptors have made of it.
    fn on_refused(&self, record: &InterceptedRecord<'_>, why: &SendErrorKind) {
        let _ = (record, why);
    }
}

/// A record on its way through the interceptors: each part borrowed from the application until an interceptor replaces it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InterceptedRecord<'a> {
    /// Where it goes.
    pub topic: Topic,
    /// The partition, if it is chosen already.
    pub partition: Option<u32>,
    /// The key.
    pub key: Option<Cow<'a, [u8]>>,
    /// The value.
    pub value: Option<Cow<'a, [u8]>>,
    /// The headers, in order.
    pub headers: Vec<InterceptedHeader<'a>>,
    /// Create time in milliseconds since 1970 (UTC). None: the time of the send.
    pub timestamp: Option<i64>,
    through: Through<'a>,
}

/// The producer that a record is sent through.
#[derive(Clone, Copy)]
struct Through<'a>(&'a Inner);

impl fmt::Debug for Through<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.config.client_id())
    }
}

/// A header of an [`InterceptedRecord`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterceptedHeader<'a> {
    /// Its name.
    pub key: Cow<'a, str>,
    /// Its value.
    pub value: Option<Cow<'a, [u8]>>,
}

impl<'a> InterceptedRecord<'a> {
    fn of(record: &Record<'a>, inner: &'a Inner) -> Self {
        let header = |header: &Header<'a>| InterceptedHeader {
            key: Cow::Borrowed(header.key),
            value: header.value.map(Cow::Borrowed),
        };
        InterceptedRecord {
            topic: record.topic,
            partition: record.partition,
            key: record.key.map(Cow::Borrowed),
            value: record.value.map(Cow::Borrowed),
            headers: record.headers.iter().map(header).collect(),
            timestamp: record.timestamp,
            through: Through(inner),
        }
    }

    /// The name of the topic that it goes to. None if another producer made the handle.
    pub fn topic_name(&self) -> Option<Arc<str>> {
        self.through.0.entry(self.topic).map(|entry| entry.name().clone())
    }

    /// Appends a header.
    pub fn add_header(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, [u8]>>) {
        self.headers.push(InterceptedHeader { key: key.into(), value: Some(value.into()) });
    }

    pub(crate) fn as_record<'b>(&'b self, headers: &'b [Header<'b>]) -> Record<'b> {
        Record {
            topic: self.topic,
            partition: self.partition,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers,
            timestamp: self.timestamp,
        }
    }
}

/// Headers as a record borrows them.
pub(crate) fn borrowed<'b>(headers: &'b [InterceptedHeader<'_>]) -> Vec<Header<'b>> {
    headers.iter().map(|header| Header { key: &header.key, value: header.value.as_deref() }).collect()
}

/// The interceptors of a producer, of which there are some.
#[derive(Clone)]
pub(crate) struct Chain(Arc<[Box<dyn Interceptor>]>);

impl Chain {
    /// None without interceptors.
    pub(crate) fn of(interceptors: Vec<Box<dyn Interceptor>>) -> Option<Chain> {
        (!interceptors.is_empty()).then(|| Chain(interceptors.into()))
    }

    pub(crate) fn on_send<'a>(&self, inner: &'a Inner, record: &Record<'a>) -> InterceptedRecord<'a> {
        let mut record = InterceptedRecord::of(record, inner);
        for interceptor in &*self.0 {
            let mut changed = record.clone();
            if caught("on_send", || interceptor.on_send(&mut changed)) {
                record = changed;
            }
        }
        record
    }

    pub(crate) fn on_refused(&self, record: &InterceptedRecord<'_>, why: &SendErrorKind) {
        for interceptor in &*self.0 {
            caught("on_refused", || interceptor.on_refused(record, why));
        }
    }

    /// A delivery callback that calls the interceptors first.
    pub(crate) fn before(self, callback: Option<Callback>) -> Callback {
        let mut callback = callback;
        Box::new(move |report: &DeliveryReport<'_>| {
            for interceptor in &*self.0 {
                caught("on_acknowledgement", || interceptor.on_acknowledgement(report));
            }
            if let Some(callback) = &mut callback {
                callback(report);
            }
        })
    }
}

/// Whether the application's code ran to its end.
fn caught(what: &'static str, call: impl FnOnce()) -> bool {
    let ended = catch_unwind(AssertUnwindSafe(call)).is_ok();
    if !ended {
        tracing::error!(target: "forebay::interceptor", what, "an interceptor has panicked; the record goes on without it");
    }
    ended
}
