//! Promises of one real process on loopback: connections, transactions, waiting, configuration.

mod blocking;
mod configuration;
mod connections;
mod effects;
mod harness;
mod input;
mod transactions;
