//! Keys of slots that this node lost: deleted in slices, each with its effect.
//!
//! ```text
//!   slots lost ──> waiting set ── a slice a turn, key by key: DEL ──> replicas, file
//!                      └── a slot that comes back: the rest of it at once, before it is served
//! ```
//!
//! Nobody can reach these keys meanwhile, because commands on them are sent to the new owner. What
//! would make them reachable again is a new routing, and that is looked at before it counts: keys
//! that come with the slot must not be mixed with those that it had before.
//! Not known here: why slots are lost.

use std::time::{Duration, Instant};

use holdfast_cluster::SlotMap;
use holdfast_wire::slot::{Slot, SlotSet};

use crate::core::Core;

/// Time for deleting in a turn.
const TURN_BUDGET: Duration = Duration::from_millis(2);
/// Keys between two looks at the watch.
const KEYS_PER_LOOK: usize = 64;

/// Slots whose keys are still to be deleted.
#[derive(Debug, Default)]
pub struct Lost {
    slots: SlotSet,
    deleted: u64,
}

impl Lost {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn first(&self) -> Option<Slot> {
        self.slots.iter().next()
    }
}

/// Keys of these slots belong to others now. On a replica they go when its primary says so.
pub(crate) fn lose(core: &mut Core, slots: &SlotSet) {
    if core.replication.is_replica() {
        return;
    }
    let filled = slots.iter().filter(|slot| core.store.slot_len(*slot) > 0).collect();
    core.migrations.lost.slots = core.migrations.lost.slots.union(&filled);
}

/// This node follows another from now on, which says what is to be deleted.
pub(crate) fn forget(core: &mut Core) {
    core.migrations.lost = Lost::default();
}

/// A new routing is about to count: slots that may be filled again are emptied first.
pub(crate) fn before_routing(core: &mut Core, map: &SlotMap) {
    if core.migrations.lost.is_empty() {
        return;
    }
    let returns = |slot: &Slot| {
        map.importing_from(*slot).is_some()
            || map.owner(*slot).is_none_or(|owner| owner.id == map.my_id)
    };
    let slots: Vec<Slot> = core.migrations.lost.slots.iter().filter(returns).collect();
    for slot in slots {
        while delete_some(core, slot) {}
    }
}

/// The slice of a turn.
pub(crate) fn on_turn(core: &mut Core) {
    let began = Instant::now();
    while let Some(slot) = core.migrations.lost.first() {
        if began.elapsed() >= TURN_BUDGET {
            return;
        }
        delete_some(core, slot);
    }
}

/// The node ends: what it leaves on disk is what it owns.
pub(crate) fn finish(core: &mut Core) {
    while let Some(slot) = core.migrations.lost.first() {
        delete_some(core, slot);
    }
}

/// Deletes some keys of a slot; false when it has no more.
fn delete_some(core: &mut Core, slot: Slot) -> bool {
    let keys = core.store.keys_in_slot(slot, KEYS_PER_LOOK);
    for key in &keys {
        core.store.remove(0, key, core.now_ms);
        core.record_own_effect(0, key, &[b"DEL", &key[..]]);
        core.touched(0, key);
        core.end_unit();
    }
    let lost = &mut core.migrations.lost;
    lost.deleted += keys.len() as u64;
    if !keys.is_empty() {
        return true;
    }
    lost.slots.remove(slot);
    if lost.slots.is_empty() {
        let deleted = std::mem::take(&mut lost.deleted);
        tracing::warn!("Deleted {deleted} keys of slots that belong to other nodes now.");
    }
    false
}
