//! Promises of a cluster of real processes on loopback, seen from outside.

mod client;
mod failover;
mod formation;
mod garbage;
mod migration;
mod nodes;
mod shutdown;
mod stock;
