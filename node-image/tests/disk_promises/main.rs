//! Promises about files and replicas, seen from outside: real processes on loopback, among them
//! Debian's redis-server 7.0.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

mod aof;
mod bounded;
mod lame;
mod replication;
mod servers;
mod snapshot;
mod streams;
mod turns;
