//! Who owns which slot.
//!
//! Owners are few and packets carry bitmaps, so the table keeps one bitmap an owner, not one
//! owner a slot: a claim over thousands of slots is a few hundred word operations.
//!
//!   A: 1111100000000000
//!   B: 0000011111000000      a claim {4,5,6} by C, when granted:  A loses 4, B loses 5 and 6
//!
//! Invariants: the bitmaps do not overlap, and none of them is empty. Not known here: epochs.
//! Whether a claim may take a slot from its owner is decided in `claims.rs`.

use std::collections::BTreeMap;

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::{SLOTS, Slot, SlotSet};

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ownership(BTreeMap<NodeId, SlotSet>);

impl Ownership {
    /// The owner of a slot.
    pub(crate) fn owner(&self, slot: Slot) -> Option<NodeId> {
        self.0.iter().find(|(_, slots)| slots.contains(slot)).map(|(owner, _)| *owner)
    }

    /// The slots of a node.
    pub(crate) fn of(&self, node: NodeId) -> SlotSet {
        self.0.get(&node).cloned().unwrap_or_default()
    }

    /// How many slots a node owns.
    pub(crate) fn count(&self, node: NodeId) -> u16 {
        self.0.get(&node).map_or(0, SlotSet::len)
    }

    /// True when a node owns a slot.
    pub(crate) fn has_slots(&self, node: NodeId) -> bool {
        self.0.contains_key(&node)
    }

    /// Every owner with its slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &SlotSet)> {
        self.0.iter().map(|(owner, slots)| (*owner, slots))
    }

    /// Every owner: the nodes that vote.
    pub(crate) fn owners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.keys().copied()
    }

    /// How many nodes own slots.
    pub(crate) fn size(&self) -> usize {
        self.0.len()
    }

    /// Slots that have an owner.
    pub(crate) fn assigned(&self) -> u16 {
        self.0.values().map(SlotSet::len).sum()
    }

    /// True when each slot has an owner.
    pub(crate) fn is_complete(&self) -> bool {
        self.assigned() == SLOTS
    }

    /// Slots that nobody owns.
    pub(crate) fn free(&self) -> SlotSet {
        self.0.values().fold(SlotSet::full(), |free, slots| free.difference(slots))
    }

    /// Gives slots to a node, whoever owned them.
    pub(crate) fn assign(&mut self, slots: &SlotSet, to: NodeId) {
        if slots.is_empty() {
            return;
        }
        self.release(slots);
        let owned = self.0.entry(to).or_default();
        *owned = owned.union(slots);
    }

    /// Takes slots from whoever owns them.
    pub(crate) fn release(&mut self, slots: &SlotSet) {
        self.0.retain(|_, owned| {
            if owned.intersects(slots) {
                *owned = owned.difference(slots);
            }
            !owned.is_empty()
        });
    }

    /// Takes all slots from a node; true when it had some.
    pub(crate) fn clear(&mut self, node: NodeId) -> bool {
        self.0.remove(&node).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_at_most_one_owner_whatever_is_assigned() {
        let [a, b] = [NodeId([1; 20]), NodeId([2; 20])];
        let mut table = Ownership::default();
        table.assign(&SlotSet::full(), a);
        assert!(table.is_complete());
        table.assign(&SlotSet::from_ranges(&[(10, 19)]), b);
        assert_eq!(table.of(a).ranges(), [(0, 9), (20, 16383)]);
        assert_eq!(table.owner(Slot(10)), Some(b));
        table.release(&SlotSet::from_ranges(&[(0, 15)]));
        assert_eq!(table.free().ranges(), [(0, 15)]);
        table.assign(&table.of(b), a);
        assert!(!table.has_slots(b), "an owner without slots is no owner");
        assert_eq!(table.size(), 1);
    }
}
