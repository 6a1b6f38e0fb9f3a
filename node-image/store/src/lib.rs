//! Keyspace, data types, expiry, RDB and AOF codecs; no I/O, no clock.

pub mod access;
pub mod aof;
pub mod bits;
pub mod crc64;
pub mod cut;
mod entry;
pub mod float;
pub mod geo;
pub mod glob;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod limits;
pub mod list;
pub mod listpack;
pub mod lzf;
pub mod number;
mod packed;
pub mod random;
pub mod rdb;
pub mod set;
pub mod sorted_set;
pub mod store;
pub mod stream;
pub mod string;
mod table;
pub mod value;

pub use access::Tracking;
pub use cut::{CutEntry, CutFilter, CutId, CutProgress};
pub use limits::{HashSeed, Limits};
pub use store::{ExpireProgress, ExpiryRule, KeyView, Store, StoreConfig, ValueMut};
pub use string::StringValue;
pub use value::{Encoding, Value, ValueType};
