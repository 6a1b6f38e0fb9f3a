//! Streams of the keyspace, and entries as replies.
//!
//! Not known here: which entries a command is about.

use holdfast_store::listpack::Element;
use holdfast_store::stream::{Entry, Stream, StreamId};
use holdfast_store::{Limits, Value};
use holdfast_wire::resp::ReplyBuf;

use crate::commands::keyspace::{Keyspace, Missing};
use crate::commands::{CommandError, Ctx};

impl Keyspace<'_> {
    /// The stream of a key.
    pub(super) fn stream(&mut self, key: &[u8]) -> Result<Option<&Stream>, CommandError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(_) => Err(CommandError::WRONG_TYPE),
        }
    }

    /// Changes a stream: what the closure gave, `None` when there was nothing to change.
    pub(super) fn change_stream<R>(
        &mut self,
        key: &[u8],
        missing: Missing,
        change: impl FnOnce(&mut Stream, &Limits) -> R,
    ) -> Result<Option<R>, CommandError> {
        let limits = self.limits();
        if let Some(mut value) = self.core.store.get_mut(self.db, key, self.now_ms) {
            let Value::Stream(stream) = &mut *value else { return Err(CommandError::WRONG_TYPE) };
            return Ok(Some(change(stream, &limits)));
        }
        if missing == Missing::Skip {
            return Ok(None);
        }
        let mut stream = Stream::new();
        let result = change(&mut stream, &limits);
        self.set(key, stream, None);
        Ok(Some(result))
    }
}

/// Writes an id.
pub(super) fn write_id(reply: &mut ReplyBuf, id: StreamId) {
    reply.bulk(id.to_string().as_bytes());
}

fn write_element(reply: &mut ReplyBuf, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => reply.bulk(bytes),
        Element::Integer(number) => reply.bulk_integer(number),
    }
}

/// Writes an entry: its id, and its fields and values in turn.
pub(super) fn write_entry(reply: &mut ReplyBuf, entry: &Entry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(2 * entry.len());
    for (field, value) in entry.fields() {
        write_element(reply, field);
        write_element(reply, value);
    }
}

/// The error without the key, or without the group.
pub(super) fn no_group(key: &[u8], group: &[u8], rest: &str) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::text(format!("NOGROUP No such key '{key}' or consumer group '{group}'{rest}"))
}

/// The error without the group of a stream that is there.
pub(super) fn no_such_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// What replicas are told about an entry that is pending: by whom, since when, how often.
pub(super) struct Claimed {
    pub(super) id: StreamId,
    pub(super) consumer: Vec<u8>,
    pub(super) delivered_ms: i64,
    pub(super) deliveries: u64,
    /// The last id that the group had read by then.
    pub(super) last_id: StreamId,
}

impl Ctx<'_> {
    /// Replicas give the entry to the consumer as it was given here.
    pub(super) fn effect_claimed(&mut self, key: &[u8], group: &[u8], claimed: &Claimed) {
        let (id, last_id) = (claimed.id.to_string(), claimed.last_id.to_string());
        let time = claimed.delivered_ms.to_string();
        let deliveries = claimed.deliveries.to_string();
        let words: [&[u8]; 14] = [
            b"XCLAIM",
            key,
            group,
            &claimed.consumer,
            b"0",
            id.as_bytes(),
            b"TIME",
            time.as_bytes(),
            b"RETRYCOUNT",
            deliveries.as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            last_id.as_bytes(),
        ];
        self.effect(&words);
    }

    /// Replicas note how far the group has read.
    pub(super) fn effect_position(
        &mut self,
        key: &[u8],
        group: &[u8],
        (last_id, entries_read): (StreamId, Option<u64>),
    ) {
        let last_id = last_id.to_string();
        let read = entries_read.map_or_else(|| "-1".to_owned(), |read| read.to_string());
        let (last_id, read) = (last_id.as_bytes(), read.as_bytes());
        self.effect(&[b"XGROUP", &b"SETID"[..], key, group, last_id, b"ENTRIESREAD", read]);
    }

    /// Replicas add the consumer.
    pub(super) fn effect_consumer(&mut self, key: &[u8], group: &[u8], consumer: &[u8]) {
        self.effect(&[b"XGROUP", &b"CREATECONSUMER"[..], key, group, consumer]);
    }
}
