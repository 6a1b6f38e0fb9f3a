//! The core's ear for the bus thread, and what it tells the bus by itself.
//!
//! Not known here: why the bus thread wants something.

use std::sync::Arc;

use holdfast_cluster::{CommandFacts, Pause, Published, RoleChange, SlotMap};
use holdfast_wire::slot::{Slot, key_slot};
use holdfast_wire::state::BootState;

use super::{FromBus, ToBus};
use crate::clients::ClientId;
use crate::commands::CommandError;
use crate::core::Core;
use crate::{execute, migration, replication, shutdown};

/// Carries out what the bus thread wants of the core.
pub fn on_message(core: &mut Core, message: FromBus) {
    match message {
        FromBus::Routing(map) => on_routing(core, map),
        FromBus::Role(role) => {
            if role != RoleChange::Primary {
                core.migrations.locks.forget_suspects();
                migration::lost::forget(core);
            }
            replication::on_role(core, role);
        }
        FromBus::DropSlots(slots) => migration::lost::lose(core, &slots),
        FromBus::Pause(pause) => on_pause(core, pause),
        FromBus::WatchOffset(offset) => replication::watch_offset(core, offset),
        FromBus::Published(Published { channel, message, sharded }) => {
            if sharded {
                core.deliver_in_shard(&channel, &message);
            } else {
                core.deliver(&channel, &message);
            }
        }
        FromBus::FlushAll => flush_all(core),
        FromBus::HandOver(end) => shutdown::on_hand_over(core, end),
        FromBus::CountKeys { question, slots } => {
            let facts = facts(core, slots.iter());
            core.to_bus.send(ToBus::KeysCounted { question, facts });
        }
        FromBus::Keys(order) => migration::on_order(core, order),
    }
}

/// What the rules of a command need to know about the keyspace.
pub(crate) fn facts(core: &Core, slots: impl Iterator<Item = Slot>) -> CommandFacts {
    let keys = core.store.len(0) as u64;
    let keys_in_slots = slots.map(|slot| core.store.slot_len(slot) as u64).sum();
    CommandFacts { keys, keys_in_slots, secured: false }
}

fn on_routing(core: &mut Core, map: Arc<SlotMap>) {
    migration::lost::before_routing(core, &map);
    core.routing = map;
    say_lame(core);
    redirect_blocked(core);
    core.end_stray_subscriptions();
}

/// Only the cluster value knows that a node is lame; everybody may look it up.
fn say_lame(core: &Core) {
    match (core.routing.lame, core.shared.boot()) {
        (true, BootState::Loading | BootState::Ready) => core.shared.set_boot(BootState::Lame),
        (false, BootState::Lame) => core.shared.set_boot(BootState::Ready),
        _ => {}
    }
}

/// A client that waits for keys of a slot that went elsewhere would wait for ever.
fn redirect_blocked(core: &mut Core) {
    if core.blocked.is_empty() {
        return;
    }
    let routing = Arc::clone(&core.routing);
    let stray = |key: &[u8], secured: bool| {
        let slot = key_slot(key);
        let owner = routing.owner(slot);
        match owner {
            Some(owner) if owner.id == routing.my_id && routing.ok => None,
            Some(owner) if routing.ok => {
                Some(format!("MOVED {slot} {}:{}", owner.host, owner.ports.like(secured)))
            }
            _ => Some("CLUSTERDOWN The cluster is down".to_owned()),
        }
    };
    let astray: Vec<(ClientId, String)> = core
        .clients
        .iter()
        .filter_map(|client| {
            let blocked = client.blocked.as_ref()?;
            Some((client.id, stray(blocked.block.keys.first()?, client.is_secured())?))
        })
        .collect();
    for (id, text) in astray {
        execute::unblock(core, id, Some(&CommandError::text(text)));
    }
}

fn on_pause(core: &mut Core, pause: Pause) {
    match pause {
        Pause::Writes { until } => {
            core.pauses.set_cluster(Some(until.0 as i64));
            core.choose_expiry_rule();
            // Messages are handled between units of work: nothing writes behind this offset.
            core.to_bus.send(ToBus::WritesPaused { offset: core.log.end() });
        }
        Pause::Resume => {
            core.pauses.set_cluster(None);
            core.choose_expiry_rule();
        }
    }
}

/// The flush is an effect like any other: the append-only file must not bring the keys back, and
/// a replica of this node must not keep them.
fn flush_all(core: &mut Core) {
    core.touched_all(None);
    core.store.flush_all();
    core.invalidate_all();
    core.record_own_flush();
    core.end_unit();
}
