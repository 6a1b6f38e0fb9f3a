//! Keyspace, data types, expiry, RDB and AOF codecs; no I/O, no clock.

pub mod hash;
pub mod limits;
pub mod list;
pub mod number;
pub mod string;
mod table;
pub mod value;
