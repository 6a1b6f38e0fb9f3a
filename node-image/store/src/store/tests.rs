//! The keyspace against a plain map: expiry, counters, slots, walks.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_wire::slot::SlotSet;
use proptest::prelude::*;

use super::*;
use crate::{
    CutFilter, CutProgress,
    hash::Hash,
    list::{End, List},
    string::StringValue,
};

fn store(cluster: bool) -> Store {
    Store::new(StoreConfig { databases: 2, cluster, seed: HashSeed([5; 16]) })
}

fn text(bytes: &[u8]) -> Value {
    StringValue::new(bytes).into()
}

fn number(n: u32) -> Vec<u8> {
    n.to_string().into_bytes()
}

#[test]
fn an_expired_key_is_removed_once_and_reported_once() {
    let mut store = store(false);
    store.insert(0, b"k", text(b"v"), Some(1_000), 0);
    assert!(store.get(0, b"k", 1_000).is_some(), "it lives through its last millisecond");
    assert!(store.get(0, b"k", 1_001).is_none());
    assert!(store.get(0, b"k", 1_001).is_none());
    assert_eq!(store.take_expired(), vec![(0, b"k".as_slice().into())]);
    assert!(!store.has_expired());
    assert_eq!((store.len(0), store.expiring(0), store.used_bytes()), (0, 0, 0));
}

#[test]
fn a_replica_never_removes_an_expired_key_by_itself() {
    let mut store = store(true);
    store.insert(0, b"k", text(b"v"), Some(1_000), 0);
    store.set_expiry_rule(ExpiryRule::Hide);
    assert!(store.get(0, b"k", 2_000).is_none());
    assert!(store.get_quietly(0, b"k", 2_000).is_none());
    assert_eq!(store.expire_cycle(2_000, 1_000).expired, 0);
    store.set_expiry_rule(ExpiryRule::Ignore);
    assert!(store.get(0, b"k", 2_000).is_some());
    assert_eq!(store.len(0), 1);
    assert!(!store.has_expired());
}

#[test]
fn the_cycle_finds_every_due_key_with_a_small_budget_and_touches_no_other() {
    for cluster in [false, true] {
        let mut store = store(cluster);
        for n in 0..3_000 {
            let expiry = match n % 3 {
                0 => None,
                1 => Some(500),
                _ => Some(5_000),
            };
            store.insert((n % 2) as usize, &number(n), text(b"v"), expiry, 0);
        }
        let mut rounds = 0;
        while store.expire_cycle(1_000, 50).more {
            rounds += 1;
            assert!(rounds < 10_000);
        }
        assert!(rounds >= 5, "one call does not do it all");
        assert_eq!(store.take_expired().len(), 1_000);
        assert_eq!(store.len(0) + store.len(1), 2_000);
        assert_eq!(store.expire_cycle(5_000, 1_000_000).expired, 0);
        assert_eq!(store.expire_cycle(5_001, 1_000_000).expired, 1_000);
        assert_eq!(store.expiring(0) + store.expiring(1), 0);
    }
}

#[test]
fn an_earlier_deadline_than_the_known_ones_is_found() {
    let mut store = store(false);
    store.insert(0, b"k", text(b"v"), Some(10_000), 0);
    assert_eq!(store.expire_cycle(5_000, 100).expired, 0);
    assert!(store.set_expiry(0, b"k", Some(4_000), 3_000));
    assert_eq!(store.expire_cycle(5_000, 100).expired, 1);
}

#[test]
fn a_slot_knows_its_keys_and_can_be_flushed_alone() {
    let mut store = store(true);
    for n in 0..100 {
        store.insert(0, &[b"{a}", &*number(n)].concat(), text(b"v"), None, 0);
        store.insert(0, &[b"{b}", &*number(n)].concat(), text(b"v"), None, 0);
    }
    let slot = key_slot(b"a");
    assert_eq!(store.slot_len(slot), 100);
    assert_eq!(store.keys_in_slot(slot, 7).len(), 7);
    assert!(store.keys_of_slot(0, slot).all(|view| view.key.starts_with(b"{a}")));
    let mut slots = SlotSet::new();
    slots.insert(slot);
    let other = store.slot_bytes(key_slot(b"b"));
    assert_eq!(store.used_bytes(), store.slot_bytes(slot) + other);
    assert_eq!(store.flush_slots(&slots), 100);
    assert_eq!((store.len(0), store.slot_len(slot), store.used_bytes()), (100, 0, other));
    while store.reclaim(10) {}
}

#[test]
fn memory_is_counted_back_to_nothing() {
    let mut store = store(false);
    let limits = store.limits();
    let mut list = List::new();
    (0..5_000).for_each(|n| list.push(End::Right, &number(n), &limits));
    store.insert(0, b"list", list.into(), None, 0);
    let mut hash = Hash::new();
    (0..5_000).for_each(|n| _ = hash.set(&number(n), b"v", &limits));
    store.insert(0, b"hash", hash.into(), None, 0);
    let before = store.used_bytes();
    if let Value::List(list) = &mut *store.get_mut(0, b"list", 0).unwrap() {
        list.remove_from(End::Left, 4_000);
    }
    assert!(store.used_bytes() < before);
    store.insert(0, b"list", text(b"now a string"), Some(5), 0);
    assert!(store.remove(0, b"list", 0));
    assert!(store.remove(0, b"hash", 0));
    assert_eq!(store.used_bytes(), 0);
    let mut slices = 1;
    while store.reclaim(100) {
        slices += 1;
    }
    assert!(slices >= 10, "a large value is freed in slices");
}

/// Flushes a store with a large hash; gives the number of slices in which it was freed.
fn slices_of_a_flush(mut store: Store, limits: &Limits) -> usize {
    let mut hash = Hash::new();
    (0..5_000).for_each(|n| _ = hash.set(&number(n), b"v", limits));
    store.insert(0, b"hash", hash.into(), None, 0);
    let cut = store.begin_cut(CutFilter::All);
    store.flush_all();
    // The cut has the last copy now.
    while store.reclaim(100) {}
    let mut seen = 0;
    while store.scan_cut(cut, 1000, &mut |_| seen += 1) == CutProgress::Running {}
    assert_eq!(seen, 1);
    let mut slices = 1;
    while store.reclaim(100) {
        slices += 1;
    }
    slices
}

#[test]
fn a_large_value_in_a_flushed_table_is_freed_in_slices_also_when_a_cut_kept_it() {
    let limits = store(true).limits();
    for cluster in [false, true] {
        assert!(slices_of_a_flush(store(cluster), &limits) > 10);
    }
    let (mut whole, mut other) = (store(true), store(true));
    let mut hash = Hash::new();
    (0..5_000).for_each(|n| _ = hash.set(&number(n), b"v", &limits));
    other.insert(0, b"hash", hash.into(), None, 0);
    whole.bury(other);
    assert!((0..10).all(|_| whole.reclaim(100)));
}

#[test]
fn a_text_is_read_in_every_form_and_a_list_is_none() {
    let mut store = store(true);
    let texts: [&[u8]; 4] = [b"17", b"short", &[b'x'; 128], &[b'x'; 5_000]];
    for (n, text) in (0..).zip(texts) {
        store.insert_text(0, &number(n), text, None, 0);
        assert_eq!(store.get(0, &number(n), 0), Some(&StringValue::new(text).into()));
        assert_eq!(&*store.text(0, &number(n), true, 0).unwrap().unwrap(), text);
    }
    let keys: Vec<Vec<u8>> = (0..40).map(number).collect();
    store.look_ahead(0, keys.iter().map(Vec::as_slice));
    store.insert(0, b"list", List::new().into(), None, 0);
    assert_eq!(store.text(0, b"list", true, 0).unwrap_err(), NoString);
    assert!(store.text(0, b"nothing", true, 0).unwrap().is_none());
}

#[test]
fn a_random_key_can_be_any_key() {
    let mut store = store(true);
    (0..50).for_each(|n| store.insert(0, &number(n), text(b"v"), None, 0));
    let drawn: BTreeSet<_> = (0..2_000).filter_map(|_| store.random_key(0, 0)).collect();
    assert_eq!(drawn.len(), 50);
    assert_eq!(store.random_key(1, 0), None);
}

#[test]
fn swapped_databases_keep_their_keys_and_counts() {
    let mut store = store(false);
    store.insert(0, b"a", text(b"v"), Some(9), 0);
    assert!(store.swap_dbs(0, 1));
    assert!(store.get(1, b"a", 0).is_some());
    assert_eq!((store.len(0), store.len(1), store.expiring(1)), (0, 1, 1));
    assert!(!store.swap_dbs(0, 2));
}

#[test]
fn an_adopted_store_replaces_every_key() {
    let mut old = store(true);
    old.insert(1, b"old", text(b"v"), None, 0);
    let mut new = store(true);
    new.insert(0, b"new", text(b"v"), Some(9), 0);
    let bytes = new.used_bytes();
    old.adopt(new);
    assert!(old.get(1, b"old", 0).is_none());
    assert!(old.get(0, b"new", 0).is_some());
    assert_eq!((old.len(0), old.expiring(0), old.used_bytes()), (1, 1, bytes));
}

proptest! {
    #[test]
    fn a_scan_returns_every_key_that_was_there_throughout(
        cluster: bool,
        kept in prop::collection::btree_set(0_u32..50_000, 0..300),
        changes in prop::collection::vec((any::<bool>(), 0_u32..50_000), 0..500),
        steps in 1_usize..20,
    ) {
        let mut store = store(cluster);
        for n in &kept { store.insert(0, &number(*n), text(b"v"), None, 0); }
        let mut changes = changes.into_iter().filter(|(_, n)| !kept.contains(n));
        let mut seen = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = store.scan(0, cursor, steps, |view| { seen.insert(view.key.to_vec()); });
            if cursor == 0 {
                break;
            }
            for (add, n) in changes.by_ref().take(20) {
                if add {
                    store.insert(0, &number(n), text(b"v"), None, 0);
                } else {
                    store.remove(0, &number(n), 0);
                }
            }
        }
        prop_assert!(kept.iter().all(|n| seen.contains(&number(*n))));
    }

    #[test]
    fn behaves_like_a_plain_map_and_counts_what_it_holds(
        cluster: bool,
        changes in prop::collection::vec((0_u8..5, 0_u32..60, 0_i64..50), 0..300),
    ) {
        let mut store = store(cluster);
        let mut model: BTreeMap<Vec<u8>, Option<i64>> = BTreeMap::new();
        for (now, (kind, n, time)) in (0_i64..).zip(changes) {
            let key = number(n);
            model.retain(|_, expiry| expiry.is_none_or(|at| now <= at));
            match kind {
                0 => {
                    store.insert(0, &key, text(&key), None, now);
                    model.insert(key, None);
                }
                1 => {
                    store.insert(0, &key, text(&key), Some(now + time), now);
                    model.insert(key, Some(now + time));
                }
                2 => {
                    prop_assert_eq!(store.remove(0, &key, now), model.remove(&key).is_some());
                }
                3 => {
                    let there = store.set_expiry(0, &key, Some(now + time), now);
                    prop_assert_eq!(there, model.contains_key(&key));
                    model.entry(key).and_modify(|expiry| *expiry = Some(now + time));
                }
                _ => {
                    prop_assert_eq!(store.expiry_ms(0, &key, now), model.get(&key).copied());
                    _ = store.expire_cycle(now, 10);
                }
            }
        }
        store.set_expiry_rule(ExpiryRule::Ignore);
        let live = model.iter().filter(|(key, _)| store.contains(0, key, 0)).count();
        prop_assert_eq!(live, model.len());
        let expiring = store.keys(0).filter(|view| view.expiry_ms.is_some()).count();
        prop_assert_eq!(store.expiring(0), expiring);
        prop_assert_eq!(store.len(0), store.keys(0).count());
        let bytes: usize = store.dbs[0].slots.iter().flatten()
            .map(|slot| slot.own_bytes() + slot.table.iter().map(Entry::bytes).sum::<usize>())
            .sum();
        prop_assert_eq!(store.used_bytes(), bytes);
    }
}
