//! Streams in the file format.
//!
//! ```text
//!   nodes (base, listpack)*  length  last id  [first id  greatest deleted id  entries added]
//!   groups (name, last id, [entries read], pending*, consumers (name, seen, [active], ids*)*)*
//! ```
//!
//! Type 19 is written. Type 15 lacks what stands in brackets but `active`, which came with type
//! 21. What is told twice is checked: the length against the nodes, and each id that a consumer
//! has not acknowledged against its group.
//! Not known here: keys, expiry, and where the bytes come from.

use super::cursor::{Cursor, Stop, damaged};
use super::{Problem, Writer, kind};
use crate::stream::{BadNode, Group, IdMap, Stream, StreamId};

/// What stands for a number of read entries that is not known.
const UNKNOWN: u64 = u64::MAX;

impl Writer {
    /// A stream key.
    pub fn stream(&mut self, key: &[u8], expires_at_ms: Option<u64>, stream: &Stream) {
        self.begin_entry(key, expires_at_ms, kind::STREAM_2);
        self.push_stream(stream);
    }

    pub(crate) fn push_stream_value(&mut self, stream: &Stream) {
        self.push_byte(kind::STREAM_2);
        self.push_stream(stream);
    }

    fn push_stream(&mut self, stream: &Stream) {
        let log = &stream.log;
        self.push_length(log.nodes().len() as u64);
        for (base, node) in log.nodes() {
            self.push_string(&base.to_bytes());
            self.push_string(&node.listpack());
        }
        self.push_length(log.len());
        self.push_id(log.last_id);
        self.push_id(log.first_id());
        self.push_id(log.max_deleted_id);
        self.push_length(log.entries_added);
        self.push_length(stream.groups.len() as u64);
        for (name, group) in stream.groups.iter() {
            self.push_string(name);
            self.push_group(group);
        }
    }

    fn push_group(&mut self, group: &Group) {
        self.push_id(group.last_id);
        self.push_length(group.entries_read.unwrap_or(UNKNOWN));
        self.push_length(group.pending().len() as u64);
        for (id, pending) in group.pending().iter() {
            self.push_raw(&id.to_bytes());
            self.push_raw(&pending.delivered_ms.to_le_bytes());
            self.push_length(pending.deliveries);
        }
        self.push_length(group.consumers().len() as u64);
        for (name, consumer) in group.consumers() {
            self.push_string(name);
            self.push_raw(&consumer.seen_ms.to_le_bytes());
            self.push_length(consumer.pending() as u64);
            for id in consumer.pending_from(StreamId::MIN) {
                self.push_raw(&id.to_bytes());
            }
        }
    }

    fn push_id(&mut self, id: StreamId) {
        self.push_length(id.ms);
        self.push_length(id.seq);
    }
}

/// What comes next, and how many of it.
#[derive(Debug, Clone, Copy)]
enum Next {
    NodeCount,
    Nodes(u64),
    Group(u64),
    Pending(u64),
    Consumer(u64),
    Owned(u64),
    End,
}

/// A stream of which some pieces were read. A piece is a node, a pending entry, a name.
#[derive(Debug)]
pub(crate) struct PartialStream {
    code: u8,
    next: Next,
    stream: Stream,
    groups_left: u64,
    consumers_left: u64,
    group_name: Vec<u8>,
    group: Group,
    /// Entries of the group whose consumer has not come yet.
    unowned: IdMap<(i64, u64)>,
    consumer: Vec<u8>,
}

impl PartialStream {
    pub(crate) fn new(code: u8) -> Self {
        Self {
            code,
            next: Next::NodeCount,
            stream: Stream::new(),
            groups_left: 0,
            consumers_left: 0,
            group_name: Vec::new(),
            group: Group::default(),
            unowned: IdMap::default(),
            consumer: Vec::new(),
        }
    }

    /// Reads one piece; true when that was the last one.
    pub(crate) fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
        self.next = match self.next {
            Next::NodeCount => Next::Nodes(cursor.length()?),
            Next::Nodes(0) => {
                self.read_head(cursor)?;
                Next::Group(self.groups_left)
            }
            Next::Nodes(left) => {
                self.read_node(cursor)?;
                Next::Nodes(left - 1)
            }
            Next::Group(0) => Next::End,
            Next::Group(left) => {
                let pending = self.read_group(cursor)?;
                self.groups_left = left - 1;
                Next::Pending(pending)
            }
            Next::Pending(0) => Next::Consumer(cursor.length()?),
            Next::Pending(left) => {
                self.read_pending(cursor)?;
                Next::Pending(left - 1)
            }
            Next::Consumer(0) => {
                self.end_group()?;
                Next::Group(self.groups_left)
            }
            Next::Consumer(left) => {
                let owned = self.read_consumer(cursor)?;
                self.consumers_left = left - 1;
                Next::Owned(owned)
            }
            Next::Owned(0) => Next::Consumer(self.consumers_left),
            Next::Owned(left) => {
                self.read_owned(cursor)?;
                Next::Owned(left - 1)
            }
            Next::End => Next::End,
        };
        Ok(matches!(self.next, Next::End))
    }

    /// The stream, once [`PartialStream::step`] said that it is whole.
    pub(crate) fn take(&mut self) -> Stream {
        std::mem::take(&mut self.stream)
    }

    fn read_node(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let base = <[u8; 16]>::try_from(cursor.string()?);
        let Ok(base) = base else { return damaged("a stream's node has no id") };
        let listpack = cursor.string()?;
        let pushed = self.stream.log.push_listpack(StreamId::from_bytes(base), &listpack);
        pushed.map_err(|BadNode(what)| Stop::Bad(Problem::Damaged(what)))
    }

    fn read_head(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let log = &mut self.stream.log;
        let len = cursor.length()?;
        let last_id = id(cursor)?;
        let (mut max_deleted_id, mut entries_added) = (StreamId::MIN, len);
        if self.code != kind::STREAM {
            // The first id is what the nodes say.
            id(cursor)?;
            max_deleted_id = id(cursor)?;
            entries_added = cursor.length()?;
        }
        self.groups_left = cursor.length()?;
        if len != log.len() {
            return damaged("a stream has another length than it says");
        }
        if last_id < log.last_id {
            return damaged("a stream has entries above its last id");
        }
        log.last_id = last_id;
        log.max_deleted_id = max_deleted_id;
        log.entries_added = entries_added;
        Ok(())
    }

    /// Gives the number of its pending entries.
    fn read_group(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
        let name = cursor.string()?;
        let last_id = id(cursor)?;
        let entries_read = if self.code == kind::STREAM {
            self.stream.log.added_up_to(last_id)
        } else {
            Some(cursor.length()?).filter(|read| *read != UNKNOWN)
        };
        let pending = cursor.length()?;
        self.group_name = name;
        self.group = Group::new(last_id, entries_read);
        Ok(pending)
    }

    fn read_pending(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let id = StreamId::from_bytes(cursor.array()?);
        let delivered_ms = i64::from_le_bytes(cursor.array()?);
        let deliveries = cursor.length()?;
        match self.unowned.insert(id, (delivered_ms, deliveries)) {
            None => Ok(()),
            Some(_) => damaged("an entry is pending twice in a group"),
        }
    }

    /// Gives the number of entries that it has not acknowledged.
    fn read_consumer(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
        let name = cursor.string()?;
        let seen_ms = i64::from_le_bytes(cursor.array()?);
        if self.code == kind::STREAM_3 {
            // When it was last given something, which 7.0 does not tell apart.
            cursor.array::<8>()?;
        }
        let owned = cursor.length()?;
        if !self.group.add_consumer(&name, seen_ms) {
            return damaged("a group has a consumer twice");
        }
        self.consumer = name;
        Ok(owned)
    }

    fn read_owned(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let id = StreamId::from_bytes(cursor.array()?);
        let Some((delivered_ms, deliveries)) = self.unowned.remove(id) else {
            return damaged("an entry is pending with a consumer and not with its group, or twice");
        };
        self.group.assign(id, &self.consumer, delivered_ms, deliveries);
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), Stop> {
        if !self.unowned.is_empty() {
            return damaged("an entry is pending with no consumer");
        }
        let group = std::mem::take(&mut self.group);
        if self.stream.groups.add(&self.group_name, group) {
            Ok(())
        } else {
            damaged("a stream has a group twice")
        }
    }
}

fn id(cursor: &mut Cursor<'_>) -> Result<StreamId, Stop> {
    Ok(StreamId { ms: cursor.length()?, seq: cursor.length()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{HashSeed, Limits};
    use crate::rdb::{Reader, WriterOptions, dump_payload, restore_payload};
    use crate::value::Value;

    fn limits() -> Limits {
        Limits { stream_node_max_entries: 10, ..Limits::new(HashSeed([7; 16])) }
    }

    fn stream() -> Stream {
        let mut stream = Stream::new();
        for ms in 1..=95 {
            let value = format!("value {ms}");
            stream.log.append(StreamId::new(ms, 3), &[b"f", value.as_bytes()], &limits());
        }
        assert!(stream.log.delete(StreamId::new(50, 3)));
        let mut group = Group::new(StreamId::new(60, 3), None);
        group.add_consumer(b"idle", 77);
        for ms in 1..=60 {
            let name: &[u8] = if ms % 3 == 0 { b"bob" } else { b"ann" };
            group.see(name, 1_700_000_000_000 + ms);
            group.assign(StreamId::new(ms as u64, 3), name, 1_600_000_000_000 + ms, ms as u64);
        }
        stream.groups.add(b"readers", group);
        stream.groups.add(b"", Group::new(StreamId::MIN, Some(0)));
        stream
    }

    #[test]
    fn a_stream_comes_back_with_its_groups() {
        let value = Value::from(stream());
        let payload = dump_payload(&value, &limits());
        assert_eq!(restore_payload(&payload, &limits()), Ok(value));
        let empty = Value::from(Stream::new());
        assert_eq!(restore_payload(&dump_payload(&empty, &limits()), &limits()), Ok(empty));
    }

    #[test]
    fn a_stream_is_read_however_its_bytes_are_cut() {
        let value = Value::from(stream());
        let mut writer = Writer::new(WriterOptions::default());
        writer.select_db(0, 1, 0);
        writer.value(b"s", None, &value);
        writer.finish();
        let bytes = writer.take();
        for size in [1, 7, 1000] {
            let (mut reader, mut streams) = (Reader::default(), 0);
            for piece in bytes.chunks(size) {
                reader.feed(piece);
                while let Some(item) = reader.next_item().unwrap() {
                    if let crate::rdb::Item::Entry { content, .. } = item {
                        assert_eq!(content.into_value(&limits()), value);
                        streams += 1;
                    }
                }
            }
            assert_eq!((streams, reader.is_ended()), (1, true));
        }
    }

    #[test]
    fn a_changed_byte_is_an_answer_and_what_is_taken_is_whole() {
        let options = WriterOptions { compress: false, ..WriterOptions::default() };
        let mut writer = Writer::bare(options);
        writer.push_stream_value(&stream());
        let body = writer.take();
        for at in (1..body.len()).step_by(5) {
            let mut changed = body.clone();
            changed[at] ^= 1 << (at % 8);
            let Ok(value) = restore_payload(&crate::rdb::seal_payload(changed), &limits()) else {
                continue;
            };
            let again = restore_payload(&dump_payload(&value, &limits()), &limits());
            assert_eq!(again, Ok(value), "byte {at}");
        }
    }

    #[test]
    fn an_entry_without_its_consumer_is_refused() {
        for (broken, what) in [(0, "no consumer"), (1, "not with its group, or twice")] {
            let mut writer = Writer::bare(WriterOptions::default());
            writer.push_byte(kind::STREAM_2);
            for number in [0, 0, 5, 0, 0, 0, 0, 0, 0, 1] {
                writer.push_length(number);
            }
            writer.push_string(b"g");
            [5, 0, 0, 1].into_iter().for_each(|number| writer.push_length(number));
            writer.push_raw(&StreamId::new(5, 0).to_bytes());
            writer.push_raw(&[0; 8]);
            writer.push_length(1);
            writer.push_length(1);
            writer.push_string(b"c");
            writer.push_raw(&[0; 8]);
            writer.push_length(2 * broken);
            for _ in 0..2 * broken {
                writer.push_raw(&StreamId::new(5, 0).to_bytes());
            }
            let error = restore_payload(&crate::rdb::seal_payload(writer.take()), &limits());
            assert!(error.unwrap_err().to_string().contains(what));
        }
    }
}
