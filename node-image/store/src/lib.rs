//! Keyspace, data types, expiry, RDB and AOF codecs; no I/O, no clock.
