//! One number for a value, or for all of them, that is the same on every node that holds the same.
//!
//! Parts whose order counts (the elements of a list) are hashed one after the other; parts whose
//! order does not (the fields of a hash, the keys of a database) are hashed alone and added up. The
//! hash is SipHash with a fixed key: it tells copies apart, it protects from nobody. Not known
//! here: expiry, and where the values come from.

use std::fmt::Write as _;
use std::hash::Hasher as _;

use holdfast_store::stream::{Stream, StreamId};
use holdfast_store::value::Value;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// 160 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest(pub(super) [u8; 20]);

impl Digest {
    /// Of a value.
    pub(super) fn of(value: &Value) -> Self {
        let mut digest = Digest::default();
        match value {
            Value::String(string) => digest.add_ordered(string.text().as_ref()),
            Value::Set(set) => {
                for member in set.iter() {
                    let mut one = Digest::default();
                    one.add_ordered(&member);
                    digest.add_unordered(&one);
                }
            }
            Value::SortedSet(set) => {
                for (member, score) in set.iter() {
                    let mut one = Digest::default();
                    one.add_ordered(&member);
                    // Both zeros are the same score.
                    one.add_ordered(&(score + 0.0).to_le_bytes());
                    digest.add_unordered(&one);
                }
            }
            Value::List(list) => list.iter().for_each(|element| digest.add_ordered(element)),
            Value::Stream(stream) => digest.add_stream(stream),
            Value::Hash(hash) => {
                for (field, value) in hash.iter() {
                    let mut pair = Digest::default();
                    pair.add_ordered(field);
                    pair.add_ordered(value);
                    digest.add_unordered(&pair);
                }
            }
        }
        digest
    }

    /// Adds a part whose place counts.
    pub(super) fn add_ordered(&mut self, part: &[u8]) {
        let mut wide = SipHasher13::new();
        wide.write(&self.0);
        wide.write(part);
        let wide = wide.finish128().as_bytes();
        // A second hash over the first one fills what 128 bits leave of 160.
        let mut narrow = SipHasher13::new();
        narrow.write(&wide);
        narrow.write(part);
        let narrow = narrow.finish128().as_bytes();
        for (place, byte) in self.0.iter_mut().zip(wide.iter().chain(&narrow)) {
            *place = *byte;
        }
    }

    /// Adds a part whose place does not count.
    pub(super) fn add_unordered(&mut self, part: &Digest) {
        for (place, byte) in self.0.iter_mut().zip(&part.0) {
            *place ^= *byte;
        }
    }

    /// Entries and positions, and what is pending with whom; times and counts of deliveries are
    /// not the same on replicas.
    fn add_stream(&mut self, stream: &Stream) {
        let log = &stream.log;
        for id in [log.last_id, log.max_deleted_id] {
            self.add_ordered(&id.to_bytes());
        }
        for entry in log.iter(StreamId::MIN, StreamId::MAX) {
            self.add_ordered(&entry.id.to_bytes());
            for (field, value) in entry.fields() {
                self.add_ordered(&field.to_vec());
                self.add_ordered(&value.to_vec());
            }
        }
        for (name, group) in stream.groups.iter() {
            self.add_ordered(name);
            self.add_ordered(&group.last_id.to_bytes());
            for (id, pending) in group.pending().iter() {
                self.add_ordered(&id.to_bytes());
                self.add_ordered(&pending.consumer);
            }
        }
    }

    /// As 40 hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        let mut text = String::with_capacity(40);
        for byte in self.0 {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chained(parts: &[&str]) -> Digest {
        let mut digest = Digest::default();
        parts.iter().for_each(|part| digest.add_ordered(part.as_bytes()));
        digest
    }

    #[test]
    fn order_counts_where_it_should_and_nowhere_else() {
        assert_ne!(chained(&["a", "b"]), chained(&["b", "a"]));
        assert_ne!(chained(&["ab"]), chained(&["a", "b"]));
        let sum = |first: &str, second: &str| {
            let mut sum = chained(&[first]);
            sum.add_unordered(&chained(&[second]));
            sum
        };
        assert_eq!(sum("a", "b"), sum("b", "a"));
        assert_eq!(chained(&["a"]).hex().len(), 40);
    }
}
