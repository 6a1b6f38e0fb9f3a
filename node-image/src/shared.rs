//! What all threads of a node may look at: configuration, counters, routing, identity of this run.
//!
//! Everything here is read without a lock. Not known here: who changes it, but for the rule that
//! the core alone stores a new configuration and the bus thread alone a new routing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use arc_swap::ArcSwap;
use holdfast_wire::id::BootId;
use holdfast_wire::state::BootState;

use crate::config::Config;
use crate::logging::Log;
use crate::stats::Stats;

/// What all threads may look at.
pub struct Shared {
    /// Configuration in force.
    pub config: ArcSwap<Config>,
    /// Counters.
    pub stats: Stats,
    /// Random name of this run, new at each start.
    pub boot_id: BootId,
    /// INFO's `run_id`: 40 hexadecimal digits.
    pub run_id: String,
    /// Unix time of the start in milliseconds.
    pub started_ms: u64,
    /// Level and role of log lines.
    pub log: Log,
    /// Certificates in force.
    pub tls: crate::tls::Tls,
    /// What the bus thread last showed.
    pub bus: crate::bus::BusView,
    boot: AtomicU8,
}

impl Shared {
    /// A start that begins now.
    pub fn new(
        config: Arc<Config>,
        boot_id: BootId,
        run_id: String,
        now_ms: u64,
        log: Log,
    ) -> Self {
        Shared {
            config: ArcSwap::new(config),
            stats: Stats::default(),
            boot_id,
            run_id,
            started_ms: now_ms,
            log,
            tls: crate::tls::Tls::default(),
            bus: crate::bus::BusView::default(),
            boot: AtomicU8::new(0),
        }
    }

    /// How far the start has come.
    pub fn boot(&self) -> BootState {
        match self.boot.load(Relaxed) {
            0 => BootState::Loading,
            1 => BootState::Ready,
            2 => BootState::Lame,
            _ => BootState::Leaving,
        }
    }

    /// Says how far the start has come.
    pub fn set_boot(&self, state: BootState) {
        let number = match state {
            BootState::Loading => 0,
            BootState::Ready => 1,
            BootState::Lame => 2,
            BootState::Leaving => 3,
        };
        self.boot.store(number, Relaxed);
    }
}
