//! Keyspace, data types, expiry, RDB and AOF codecs; no I/O, no clock.

pub mod aof;
pub mod crc64;
pub mod hash;
pub mod limits;
pub mod list;
pub mod listpack;
pub mod lzf;
pub mod number;
pub mod rdb;
pub mod string;
mod table;
pub mod value;
pub mod access;
pub mod cut;
mod entry;
pub mod random;
pub mod store;

pub use access::Tracking;
pub use cut::{CutEntry, CutFilter, CutId, CutProgress};
pub use limits::{HashSeed, Limits};
pub use store::{ExpireProgress, ExpiryRule, KeyView, Store, StoreConfig, ValueMut};
pub use string::StringValue;
pub use value::{Encoding, Value, ValueType};
