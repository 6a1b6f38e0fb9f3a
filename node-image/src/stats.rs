//! Counters that any thread may read: INFO, `HOLDFAST STATE`, /metrics.
//!
//! The core writes them, with relaxed ordering: each number is right by itself, two numbers need
//! not be of the same moment. Not known here: how they are shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// A number that only grows, until CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Reads.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Back to zero.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets.
    pub fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }

    /// Reads.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    /// Adds, or takes away.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Sets when larger.
    pub fn max(&self, n: i64) {
        self.0.fetch_max(n, Relaxed);
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused because of `maxclients`.
    pub rejected_connections: Counter,
    /// Commands run.
    pub commands: Counter,
    /// Error replies.
    pub error_replies: Counter,
    /// Bytes read from clients.
    pub net_input_bytes: Counter,
    /// Bytes written to clients.
    pub net_output_bytes: Counter,
    /// Reads that found their key.
    pub keyspace_hits: Counter,
    /// Reads that did not.
    pub keyspace_misses: Counter,
    /// Keys removed because their time was over.
    pub expired_keys: Counter,
    /// Keys removed to make room.
    pub evicted_keys: Counter,
    /// Full synchronisations given.
    pub sync_full: Counter,
    /// Partial synchronisations given.
    pub sync_partial_ok: Counter,
    /// Partial synchronisations refused.
    pub sync_partial_err: Counter,
    /// Clients cut because of their output buffer.
    pub output_buffer_disconnections: Counter,
    /// Clients cut because of their query buffer.
    pub query_buffer_disconnections: Counter,
    /// Clients ended because all together cost too much.
    pub evicted_clients: Counter,
    /// AUTH failures.
    pub auth_failures: Counter,
    /// Turns of the core's loop.
    pub turns: Counter,
    /// Microseconds that they took in all, without the waiting for events.
    pub turns_us: Counter,
    /// Microseconds of the longest one.
    pub longest_turn_us: Gauge,
    /// Bytes on their way into the append-only file; the disk thread counts them down.
    pub aof_waiting_bytes: Arc<Gauge>,
    /// Connected clients.
    pub clients: Gauge,
    /// Clients that wait in a blocking command.
    pub blocked_clients: Gauge,
    /// Keys in all databases.
    pub keys: Gauge,
    /// Bytes of the data set.
    pub used_bytes: Gauge,
    /// The most of it so far.
    pub used_bytes_peak: Gauge,
    /// `maxmemory`.
    pub maxmemory_bytes: Gauge,
    /// End of the effect log.
    pub offset: Gauge,
    /// Connected replicas.
    pub replicas: Gauge,
    /// Replicas that are in sync.
    pub synced_replicas: Gauge,
    /// 1 when this replica's link to its primary is up.
    pub link_up: Gauge,
    /// Bytes behind the primary.
    pub lag_bytes: Gauge,
    /// 1 while data is read at start.
    pub loading: Gauge,
    /// Unix time in milliseconds of the core's last loop turn, or of a tick from inside a long
    /// piece of work; /livez looks at it.
    pub core_tick_ms: Gauge,
}

impl Stats {
    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        let counters = [
            &self.connections,
            &self.rejected_connections,
            &self.commands,
            &self.error_replies,
            &self.net_input_bytes,
            &self.net_output_bytes,
            &self.keyspace_hits,
            &self.keyspace_misses,
            &self.expired_keys,
            &self.evicted_keys,
            &self.sync_full,
            &self.sync_partial_ok,
            &self.sync_partial_err,
            &self.output_buffer_disconnections,
            &self.query_buffer_disconnections,
            &self.evicted_clients,
            &self.auth_failures,
            &self.turns,
            &self.turns_us,
        ];
        for counter in counters {
            counter.reset();
        }
        self.longest_turn_us.set(0);
    }
}
