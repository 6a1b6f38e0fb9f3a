//! Between the format's neutral content and the store's values.
//!
//! Not known here: bytes of the format.

use super::payload::{payload_content, seal_payload};
use super::{Content, RdbError, Writer, WriterOptions};
use crate::hash::Hash;
use crate::limits::Limits;
use crate::list::{End, List};
use crate::set::Set;
use crate::sorted_set::SortedSet;
use crate::string::StringValue;
use crate::value::Value;

impl WriterOptions {
    /// The usual options with the thresholds of `limits`.
    pub fn with_limits(limits: &Limits) -> Self {
        Self {
            hash_listpack_entries_max: limits.hash_max_listpack_entries,
            hash_listpack_value_max: limits.hash_max_listpack_value,
            ..Self::default()
        }
    }
}

impl Writer {
    /// Any value under its key.
    pub fn value(&mut self, key: &[u8], expires_at_ms: Option<u64>, value: &Value) {
        match value {
            Value::String(string) => self.string(key, expires_at_ms, &string.text()),
            Value::List(list) => self.list(key, expires_at_ms, list.iter()),
            Value::Hash(hash) => {
                let fields: Vec<_> = hash.iter().collect();
                self.hash(key, expires_at_ms, &fields);
            }
            Value::Set(set) => self.set(key, expires_at_ms, set),
            Value::SortedSet(set) => self.sorted_set(key, expires_at_ms, set),
            Value::Stream(stream) => self.stream(key, expires_at_ms, stream),
        }
    }
}

impl Content {
    /// The value as the store keeps it.
    pub fn into_value(self, limits: &Limits) -> Value {
        match self {
            Content::String(bytes) => StringValue::new(&bytes).into(),
            Content::List(elements) => {
                let mut list = List::new();
                for element in &elements {
                    list.push(End::Right, element, limits);
                }
                list.into()
            }
            Content::Hash(fields) => {
                let mut hash = Hash::new();
                for (field, value) in &fields {
                    hash.set(field, value, limits);
                }
                hash.into()
            }
            Content::Set(members) => {
                let mut set = Set::new();
                for member in &members {
                    set.insert(member, limits);
                }
                set.into()
            }
            Content::SortedSet(members) => {
                let mut set = SortedSet::new();
                for (member, score) in &members {
                    set.set(member, *score, limits);
                }
                set.into()
            }
            Content::Stream(stream) => Value::Stream(stream),
        }
    }
}

/// The payload of `DUMP`.
pub fn dump_payload(value: &Value, limits: &Limits) -> Vec<u8> {
    let mut writer = Writer::bare(WriterOptions::with_limits(limits));
    match value {
        Value::String(string) => writer.push_string_value(&string.text()),
        Value::List(list) => writer.push_list_value(list.iter()),
        Value::Hash(hash) => {
            let fields: Vec<_> = hash.iter().collect();
            writer.push_hash_value(&fields);
        }
        Value::Set(set) => writer.push_set_value(set),
        Value::SortedSet(set) => writer.push_sorted_set_value(set),
        Value::Stream(stream) => writer.push_stream_value(stream),
    }
    seal_payload(writer.take())
}

/// The value of a payload, for `RESTORE`; see [`payload_content`] for the errors.
pub fn restore_payload(payload: &[u8], limits: &Limits) -> Result<Value, RdbError> {
    payload_content(payload).map(|content| content.into_value(limits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HashSeed;
    use crate::value::Encoding;

    #[test]
    fn a_value_comes_back_with_its_encoding() {
        let limits = Limits::new(HashSeed([7; 16]));
        let mut large = Hash::new();
        for n in 0..1000 {
            large.set(format!("f{n}").as_bytes(), b"v", &limits);
        }
        let mut list = List::new();
        for n in 0..3000 {
            list.push(End::Right, format!("element {n}").as_bytes(), &limits);
        }
        let values: [(Value, Encoding); 5] = [
            (StringValue::new(b"12345").into(), Encoding::Int),
            (StringValue::new(b"text").into(), Encoding::Embstr),
            (StringValue::new(&[b'x'; 100]).into(), Encoding::Raw),
            (large.into(), Encoding::Hashtable),
            (list.into(), Encoding::Quicklist),
        ];
        for (value, encoding) in values {
            let back = restore_payload(&dump_payload(&value, &limits), &limits).unwrap();
            assert_eq!((&back, back.encoding()), (&value, encoding));
        }
    }
}
