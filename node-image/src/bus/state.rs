//! What a node tells about itself: `HOLDFAST STATE`, /metrics, the probes.
//!
//! The bus thread makes a [`NodeState`] from the cluster value and from the counters that the core
//! publishes; others read the newest one through [`BusView`] without a lock. Not known here: how
//! it is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use holdfast_cluster::SlotMap;
use holdfast_wire::id::NodeId;
use holdfast_wire::state::{BootState, NodeRole, NodeState};

use super::turn::Bus;
use crate::clock::unix_ms;
use crate::config::Name;

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
        view.packets_sent.store(counters.sent_total(), Relaxed);
        view.packets_received.store(counters.received_total(), Relaxed);
        view.packets_refused.store(counters.refused_total(), Relaxed);
        view.state.store(Arc::new(self.state()));
    }

    /// One consistent look at this node, made now.
    pub(super) fn state(&self) -> NodeState {
        let mut state = self.node.state();
        let (shared, config) = (&self.shared, self.shared.config.load());
        let stats = &shared.stats;
        let size = |gauge: &crate::stats::Gauge| u64::try_from(gauge.get()).unwrap_or(0);
        state.boot_id = shared.boot_id.to_string();
        state.pod_uid = config.text(Name::HoldfastPodUid).to_owned();
        state.version = crate::VERSION.to_owned();
        state.boot = shared.boot();
        if self.node.routing().lame && state.boot == BootState::Ready {
            state.boot = BootState::Lame;
        }
        state.keys = size(&stats.keys);
        state.used_bytes = size(&stats.used_bytes);
        state.lag_bytes = size(&stats.lag_bytes);
        if state.role == NodeRole::Replica {
            state.link_up = stats.link_up.get() != 0;
        }
        state.fence_token = self.controls.fence();
        state.migrations = self.jobs.states();
        state
    }
}
