//! Promises about files and replicas, seen from outside: real processes on loopback, among them
//! Debian's redis-server 7.0.

mod aof;
mod lame;
mod replication;
mod servers;
mod snapshot;
