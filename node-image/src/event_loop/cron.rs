//! What is due a few times a second.
//!
//! Keys whose time is over, memory to give back in steps, clients that have been silent too long,
//! numbers for other threads, and the ticks of the other owners. Not known here: what they do.

use std::time::{Duration, Instant};

use super::EventLoop;
use super::socket::check_output_size;
use crate::clients::ClientId;
use crate::config::Name;
use crate::core::Core;
use crate::{aof, migration, replication};

/// Steps of the expiry cycle between two looks at the watch.
const EXPIRE_STEPS: usize = 1000;
/// Steps of giving memory back between two looks at the watch.
const RECLAIM_STEPS: usize = 1000;
/// How long a client may take to authenticate.
const UNAUTHENTICATED_MS_MAX: i64 = 10_000;

impl EventLoop {
    pub(super) fn tick(&mut self, core: &mut Core) {
        let hz = core.config.int(Name::Hz).clamp(1, 500);
        self.next_tick_ms = core.now_ms + 1000 / hz;
        self.ticks += 1;
        if core.cron_paused {
            return;
        }
        core.choose_expiry_rule();
        expire_keys(core, hz);
        give_back_memory(core);
        if self.ticks.is_multiple_of(u64::try_from(hz).unwrap_or(10)) {
            cut_silent_clients(core);
            self.to_accept = true;
        }
        core.bound_tracking_table();
        publish(core);
        aof::cron(core);
        replication::cron(core);
        migration::cron(core);
        core.end_unit();
    }
}

/// Spends at most a part of the time to the next tick on keys whose time is over.
fn expire_keys(core: &mut Core, hz: i64) {
    // What expires is an old value that a snapshot may still need.
    if !core.expires_by_itself || crate::disk::snapshot::is_crowded(core) {
        return;
    }
    let effort = core.config.int(Name::ActiveExpireEffort);
    let share = Duration::from_micros(
        u64::try_from(1_000_000 / hz * (8 + 2 * effort) / 100).unwrap_or(10_000),
    );
    let began = Instant::now();
    while core.store.expire_cycle(core.now_ms, EXPIRE_STEPS).more && began.elapsed() < share {}
    core.end_unit();
}

fn give_back_memory(core: &mut Core) {
    let began = Instant::now();
    while core.store.reclaim(RECLAIM_STEPS) && began.elapsed() < Duration::from_millis(5) {}
}

fn cut_silent_clients(core: &mut Core) {
    let timeout_ms = core.config.int(Name::Timeout) * 1000;
    let now_ms = core.now_ms;
    let silent = |c: &crate::clients::Client| {
        let normal = c.kind == crate::clients::ClientKind::Normal;
        let idle = timeout_ms > 0
            && !c.is_waiting()
            && c.subscriptions.is_empty()
            && now_ms - c.active_ms > timeout_ms;
        let stranger = !c.authenticated && now_ms - c.created_ms > UNAUTHENTICATED_MS_MAX;
        normal && (idle || stranger)
    };
    let gone: Vec<ClientId> = core.clients.iter().filter(|c| silent(c)).map(|c| c.id).collect();
    for id in gone {
        core.close(id);
    }
    let waiting: Vec<ClientId> =
        core.clients.iter().filter(|c| !c.output.is_empty()).map(|c| c.id).collect();
    for id in waiting {
        check_output_size(core, id);
    }
}

/// Numbers for other threads.
fn publish(core: &mut Core) {
    let stats = &core.shared.stats;
    let databases = core.store.config().databases;
    let keys: usize = (0..databases).map(|db| core.store.len(db)).sum();
    stats.keys.set(keys as i64);
    stats.clients.set(core.clients.len() as i64);
    stats.blocked_clients.set(core.blocked.len() as i64);
    stats.used_bytes.set(core.store.used_bytes() as i64);
    stats.used_bytes_peak.max(core.store.used_bytes() as i64);
    stats.offset.set(core.log.end() as i64);
}
