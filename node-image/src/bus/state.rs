//! What a node tells about itself: `HOLDFAST STATE`, /metrics, the probes.
//!
//! The bus thread makes a [`NodeState`] from the cluster value and from the counters that the core
//! publishes; others read the newest one through [`BusView`] without a lock. Not known here: how
//! it is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use holdfast_cluster::{PacketCounters, SlotMap};
use holdfast_wire::id::NodeId;
use holdfast_wire::state::{BootState, NodeState};

use super::turn::Bus;
use crate::clock::unix_ms;
use crate::config::Name;
use crate::stats::Gauge;

/// What the bus thread last showed.
pub struct BusView {
    state: ArcSwap<NodeState>,
    routing: ArcSwap<SlotMap>,
    tick_ms: AtomicU64,
    packets_sent: AtomicU64,
    packets_received: AtomicU64,
    packets_refused: AtomicU64,
}

impl Default for BusView {
    fn default() -> Self {
        Self {
            state: ArcSwap::default(),
            routing: ArcSwap::from_pointee(SlotMap::empty(NodeId::default())),
            tick_ms: AtomicU64::new(0),
            packets_sent: AtomicU64::new(0),
            packets_received: AtomicU64::new(0),
            packets_refused: AtomicU64::new(0),
        }
    }
}

impl BusView {
    /// The newest state; empty before the bus thread runs.
    pub fn state(&self) -> Arc<NodeState> {
        self.state.load_full()
    }

    /// The newest routing.
    pub fn routing(&self) -> Arc<SlotMap> {
        self.routing.load_full()
    }

    /// Unix time in milliseconds of the bus thread's last turn; 0 before the first.
    pub fn tick_ms(&self) -> u64 {
        self.tick_ms.load(Relaxed)
    }

    /// Packets sent, received, and refused.
    pub fn packets(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        (read(&self.packets_sent), read(&self.packets_received), read(&self.packets_refused))
    }

    pub(super) fn store_routing(&self, map: Arc<SlotMap>) {
        self.routing.store(map);
    }

    pub(super) fn tick(&self) {
        self.tick_ms.store(unix_ms(), Relaxed);
    }
}

impl Bus {
    /// Makes the view anew when it is old, but not more often than its readers can use.
    pub(super) fn show(&mut self) {
        self.shared.bus.tick();
        if !self.view_is_old || self.now_ms < self.next_view_ms {
            return;
        }
        self.next_view_ms = self.now_ms + super::turn::VIEW_EVERY_MS;
        // A job's progress is no event.
        self.view_is_old = self.jobs.any_running();
        let view = &self.shared.bus;
        let counters = self.node.counters();
        view.packets_sent.store(total(&counters.sent), Relaxed);
        view.packets_received.store(total(&counters.received), Relaxed);
        view.packets_refused
            .store(counters.malformed + counters.other_cluster + counters.foreign, Relaxed);
        view.state.store(Arc::new(self.state()));
    }

    /// One consistent look at this node, made now.
    pub(super) fn state(&self) -> NodeState {
        let mut state = self.node.state();
        let (shared, config) = (&self.shared, self.shared.config.load());
        let size = |gauge: &Gauge| u64::try_from(gauge.get()).unwrap_or(0);
        // The value knows of lame and leaving; only the shell knows whether the data is read.
        if state.boot == BootState::Ready {
            state.boot = shared.boot();
        }
        config.text(Name::HoldfastPodUid).clone_into(&mut state.pod_uid);
        crate::VERSION.clone_into(&mut state.version);
        state.keys = size(&shared.stats.keys);
        state.used_bytes = size(&shared.stats.used_bytes);
        state.fence_token = self.controls.fence();
        state.migrations = self.jobs.states();
        state
    }
}

fn total(counters: &PacketCounters) -> u64 {
    counters.named().iter().map(|(_, count)| count).sum()
}
