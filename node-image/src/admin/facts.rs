//! What the port tells, read from the counters that the other threads publish.
//!
//! Not known here: HTTP, and what is made of the facts.

use holdfast_wire::state::{BootState, NodeRole, NodeState};

use super::{Facts, Health};
use crate::clock::unix_ms;
use crate::shared::Shared;
use crate::stats::Gauge;

/// A look at everything, now.
pub(super) fn of(shared: &Shared) -> Facts {
    let (stats, now_ms) = (&shared.stats, unix_ms());
    let size = |gauge: &Gauge| u64::try_from(gauge.get()).unwrap_or(0);
    let state = shared.bus.state();
    let (packets_sent, packets_read, packets_refused) = shared.bus.packets();
    Facts {
        health: health(shared, &state, now_ms),
        uptime_s: now_ms.saturating_sub(shared.started_ms) / 1000,
        used_bytes: size(&stats.used_bytes),
        max_bytes: size(&stats.maxmemory_bytes),
        clients: size(&stats.clients),
        clients_blocked: size(&stats.blocked_clients),
        connections_accepted: stats.connections.get(),
        connections_refused: stats.rejected_connections.get(),
        commands: stats.commands.get(),
        net_in_bytes: stats.net_input_bytes.get(),
        net_out_bytes: stats.net_output_bytes.get(),
        keys: size(&stats.keys),
        hits: stats.keyspace_hits.get(),
        misses: stats.keyspace_misses.get(),
        expired: stats.expired_keys.get(),
        evicted: stats.evicted_keys.get(),
        offset: size(&stats.offset),
        replicas: size(&stats.replicas),
        slots_assigned: u64::from(state.slots_assigned),
        slots_pfail: slots_of_peers(&state, |peer| peer.pfail),
        slots_fail: slots_of_peers(&state, |peer| peer.fail),
        known_nodes: state.peers.len() as u64 + 1,
        cluster_size: cluster_size(&state),
        current_epoch: state.current_epoch,
        config_epoch: state.config_epoch,
        packets_sent,
        packets_read,
        packets_refused,
        migrations_running: state.migrations.iter().filter(|m| m.state == "running").count() as u64,
    }
}

fn health(shared: &Shared, state: &NodeState, now_ms: u64) -> Health {
    let cluster_enabled = shared.config.load().cluster_enabled();
    let idle = |tick_ms: u64| if tick_ms == 0 { 0 } else { now_ms.saturating_sub(tick_ms) };
    let core_tick_ms = u64::try_from(shared.stats.core_tick_ms.get()).unwrap_or(0);
    Health {
        // Without a cluster nobody but the core says how far the start has come.
        boot: match (cluster_enabled, state.boot) {
            (true, BootState::Lame) => BootState::Lame,
            _ => shared.boot(),
        },
        role: state.role,
        cluster_enabled,
        cluster_ok: state.cluster_ok,
        slots_owned: slots(&state.slots),
        replica_in_sync: shared.stats.link_up.get() != 0,
        bus_idle_ms: if cluster_enabled { idle(shared.bus.tick_ms()) } else { 0 },
        core_idle_ms: idle(core_tick_ms),
    }
}

fn slots(ranges: &[(u16, u16)]) -> u16 {
    ranges.iter().map(|(start, end)| end - start + 1).sum()
}

fn slots_of_peers(
    state: &NodeState,
    which: impl Fn(&holdfast_wire::state::PeerState) -> bool,
) -> u64 {
    state.peers.iter().filter(|peer| which(peer)).map(|peer| u64::from(slots(&peer.slots))).sum()
}

fn cluster_size(state: &NodeState) -> u64 {
    let others = state.peers.iter().filter(|p| p.role == NodeRole::Primary && !p.slots.is_empty());
    others.count() as u64 + u64::from(!state.slots.is_empty())
}
