//! Which stream a node's data is part of: the replication ids of PSYNC2.
//!
//! A stream has an id and an offset that counts its bytes. A promoted replica begins a stream of
//! its own with a new id, and remembers that up to the offset of its promotion its data is also
//! part of the old one:
//!
//! ```text
//!   old id  ───────────────┬── what the old primary wrote after it lost us
//!                          │ second_until
//!   new id                 └──────────────── ours
//! ```
//!
//! Who asks to go on with the old id from an offset up to the fork may; who is ahead has data that
//! never was ours, and must take everything anew. Not known here: whether the bytes asked for are
//! still kept.

use std::fmt;

/// A replication id: 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamId([u8; 40]);

impl StreamId {
    /// An id made of random bytes.
    pub fn from_random(bytes: [u8; 20]) -> Self {
        let mut text = [b'0'; 40];
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        for (place, digit) in text.iter_mut().zip(digits) {
            *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        }
        StreamId(text)
    }

    /// Reads an id.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; 40] = text.try_into().ok()?;
        text.iter().all(u8::is_ascii_alphanumeric).then_some(StreamId(text))
    }

    /// Its digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", *byte as char))
    }
}

/// A node's place in the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    id: StreamId,
    second: Option<(StreamId, u64)>,
}

impl History {
    /// A stream that begins here.
    pub fn new(id: StreamId) -> Self {
        History { id, second: None }
    }

    /// The id.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The id of the stream before, and the offset up to which it is ours too.
    pub fn second(&self) -> Option<(StreamId, u64)> {
        self.second
    }

    /// A promotion at `offset`: what follows is a stream of its own.
    pub fn fork(&mut self, id: StreamId, offset: u64) {
        self.second = Some((self.id, offset));
        self.id = id;
    }

    /// The primary says that the stream goes on under another id (it was promoted itself).
    pub fn renamed(&mut self, id: StreamId, offset: u64) {
        if id != self.id {
            self.fork(id, offset);
        }
    }

    /// All data was replaced by a snapshot of that stream.
    pub fn replaced(&mut self, id: StreamId) {
        *self = History::new(id);
    }

    /// Whether somebody whose data is the stream `id` up to `offset` can go on with ours.
    pub fn continues(&self, id: &[u8], offset: u64) -> bool {
        id == self.id.as_bytes()
            || self.second.is_some_and(|(old, until)| id == old.as_bytes() && offset <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> StreamId {
        StreamId::from_random([n; 20])
    }

    #[test]
    fn ids_are_forty_digits_and_come_back() {
        assert_eq!(id(0xa7).to_string(), "a7".repeat(20));
        assert_eq!(StreamId::parse(id(3).as_bytes()), Some(id(3)));
        assert_eq!(StreamId::parse(b"?"), None);
        assert_eq!(StreamId::parse(&[b'\n'; 40]), None);
    }

    #[test]
    fn after_a_promotion_the_old_stream_goes_on_only_up_to_the_fork() {
        let mut history = History::new(id(1));
        history.fork(id(2), 100);
        assert!(history.continues(id(2).as_bytes(), 500));
        assert!(history.continues(id(1).as_bytes(), 100));
        assert!(!history.continues(id(1).as_bytes(), 101));
        assert!(!history.continues(id(3).as_bytes(), 0));
    }

    #[test]
    fn a_snapshot_leaves_nothing_of_the_past() {
        let mut history = History::new(id(1));
        history.fork(id(2), 100);
        history.replaced(id(3));
        assert!(!history.continues(id(1).as_bytes(), 0));
        assert!(!history.continues(id(2).as_bytes(), 0));
        assert!(history.continues(id(3).as_bytes(), 7));
    }

    #[test]
    fn the_same_name_again_forgets_nothing() {
        let mut history = History::new(id(1));
        history.fork(id(2), 100);
        history.renamed(id(2), 200);
        assert_eq!(history.second(), Some((id(1), 100)));
    }
}
