//! Cuts under any writes: each entry of the instant comes exactly once, with its value of then.

use std::collections::BTreeMap;

use holdfast_wire::slot::Slot;
use proptest::prelude::*;

use super::*;
use crate::{
    hash::Hash,
    limits::{HashSeed, Limits},
    list::{End, List},
    store::{ExpiryRule, StoreConfig},
    string::StringValue,
};

type Contents = BTreeMap<(usize, Vec<u8>), (Value, Option<i64>)>;

fn store(cluster: bool) -> Store {
    Store::new(StoreConfig { databases: 2, cluster, seed: HashSeed([9; 16]) })
}

fn contents(store: &Store, filter: &CutFilter) -> Contents {
    let mut all = Contents::new();
    for db in 0..2 {
        for view in store.keys(db) {
            let wanted = match filter {
                CutFilter::All => true,
                CutFilter::Slots(slots) => slots.contains(key_slot(view.key)),
            };
            if wanted {
                all.insert((db, view.key.to_vec()), (view.value().into_owned(), view.expiry_ms));
            }
        }
    }
    all
}

fn scan(store: &mut Store, cut: CutId, budget: usize, seen: &mut Contents) -> CutProgress {
    store.scan_cut(cut, budget, &mut |entry| {
        let value = (entry.value.clone(), entry.expiry_ms);
        let before = seen.insert((entry.db, entry.key.to_vec()), value);
        assert_eq!(before, None, "each entry comes once");
    })
}

fn fill(store: &mut Store, keys: u32) {
    for n in 0..keys {
        store.insert(0, &n.to_be_bytes(), StringValue::new(b"v").into(), None, 0);
    }
}

#[test]
fn a_slice_shows_no_more_than_its_budget_asks_for() {
    let mut store = store(false);
    fill(&mut store, 10_000);
    let cut = store.begin_cut(CutFilter::All);
    let mut seen = Contents::new();
    assert_eq!(scan(&mut store, cut, 100, &mut seen), CutProgress::Running);
    assert!((1..200).contains(&seen.len()), "{}", seen.len());
}

#[test]
fn a_flush_hands_its_tables_over_without_copying_them() {
    let mut store = store(false);
    fill(&mut store, 1_000);
    let cut = store.begin_cut(CutFilter::All);
    let mut seen = Contents::new();
    scan(&mut store, cut, 100, &mut seen);
    store.flush_all();
    assert_eq!(store.side_buffer_bytes(), 0);
    while scan(&mut store, cut, 100, &mut seen) == CutProgress::Running {}
    assert_eq!(seen.len(), 1_000);
    assert_eq!(store.running_cuts(), 0);
}

#[test]
fn the_side_buffer_is_counted_and_drained() {
    let mut store = store(false);
    fill(&mut store, 100);
    let cut = store.begin_cut(CutFilter::All);
    (0..100_u32).for_each(|n| _ = store.remove(0, &n.to_be_bytes(), 0));
    assert!(store.side_buffer_bytes() > 100 * 4);
    let mut seen = Contents::new();
    scan(&mut store, cut, 1_000, &mut seen);
    assert_eq!((seen.len(), store.side_buffer_bytes()), (100, 0));
}

#[test]
fn a_cancelled_cut_costs_nothing_further() {
    let mut store = store(false);
    fill(&mut store, 100);
    let cut = store.begin_cut(CutFilter::All);
    store.cancel_cut(cut);
    store.flush_all();
    assert_eq!((store.running_cuts(), store.side_buffer_bytes()), (0, 0));
    let mut seen = Contents::new();
    assert_eq!(scan(&mut store, cut, 10, &mut seen), CutProgress::Done);
    assert!(seen.is_empty());
}

#[test]
fn an_adopted_store_is_not_part_of_an_older_cut() {
    let mut store = store(false);
    fill(&mut store, 10);
    let before = contents(&store, &CutFilter::All);
    let cut = store.begin_cut(CutFilter::All);
    let mut other = self::store(false);
    fill(&mut other, 500);
    store.adopt(other);
    store.remove(0, &3_u32.to_be_bytes(), 0);
    let mut seen = Contents::new();
    while scan(&mut store, cut, 7, &mut seen) == CutProgress::Running {}
    assert_eq!(seen, before);
}

#[test]
fn a_key_that_was_written_half_a_million_cuts_ago_is_not_missed() {
    let mut store = store(false);
    fill(&mut store, 10);
    let all = contents(&store, &CutFilter::All);
    for n in 0_u32..1_100_000 {
        let cut = store.begin_cut(CutFilter::All);
        if n % 50_000 == 0 {
            let mut seen = Contents::new();
            while scan(&mut store, cut, 100, &mut seen) == CutProgress::Running {}
            assert_eq!(seen, all);
        }
        store.cancel_cut(cut);
    }
}

#[test]
fn exchanged_databases_are_shown_under_the_numbers_that_they_had() {
    let mut store = store(false);
    fill(&mut store, 500);
    let before = contents(&store, &CutFilter::All);
    let cut = store.begin_cut(CutFilter::All);
    let mut seen = Contents::new();
    scan(&mut store, cut, 50, &mut seen);
    assert!(store.swap_dbs(0, 1));
    store.flush_db(1);
    while scan(&mut store, cut, 50, &mut seen) == CutProgress::Running {}
    assert_eq!(seen, before);
}

#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8, u8),
    Push(usize, u8),
    SetField(usize, u8, u8),
    Remove(usize, u8),
    Expiry(usize, u8, Option<i64>),
    Rename(usize, u8, u8),
    ExpireCycle(i64),
    FlushSlot(u8),
    FlushDb(usize),
    SwapDbs,
}

fn change() -> impl Strategy<Value = Change> {
    let key = || 0_u8..50;
    prop_oneof![
        6 => (0_usize..2, key(), 0_u8..9).prop_map(|(db, k, v)| Change::Set(db, k, v)),
        3 => (0_usize..2, key()).prop_map(|(db, k)| Change::Push(db, k)),
        3 => (0_usize..2, key(), 0_u8..9).prop_map(|(db, k, f)| Change::SetField(db, k, f)),
        3 => (0_usize..2, key()).prop_map(|(db, k)| Change::Remove(db, k)),
        2 => (0_usize..2, key(), prop::option::of(0_i64..100))
            .prop_map(|(db, k, at)| Change::Expiry(db, k, at)),
        2 => (0_usize..2, key(), key()).prop_map(|(db, from, to)| Change::Rename(db, from, to)),
        1 => (0_i64..60).prop_map(Change::ExpireCycle),
        1 => key().prop_map(Change::FlushSlot),
        1 => (0_usize..2).prop_map(Change::FlushDb),
        1 => Just(Change::SwapDbs),
    ]
}

fn name(key: u8) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

fn apply(store: &mut Store, change: Change) {
    let limits =
        Limits { hash_max_listpack_entries: 2, list_max_listpack_size: 2, ..store.limits() };
    match change {
        Change::Set(db, key, value) => {
            let value = StringValue::new(&[b'a' + value]).into();
            store.insert(db, &name(key), value, None, 0);
        }
        Change::Push(db, key) => {
            if let Some(mut value) = store.get_mut(db, &name(key), 0) {
                if let Value::List(list) = &mut *value {
                    list.push(End::Right, b"more", &limits);
                }
            } else {
                let mut list = List::new();
                list.push(End::Left, b"first", &limits);
                store.insert(db, &name(key), list.into(), None, 0);
            }
        }
        Change::SetField(db, key, field) => {
            if let Some(mut value) = store.get_mut(db, &name(key), 0) {
                if let Value::Hash(hash) = &mut *value {
                    hash.set(&[field], b"more", &limits);
                }
            } else {
                let mut hash = Hash::new();
                hash.set(&[field], b"first", &limits);
                store.insert(db, &name(key), hash.into(), None, 0);
            }
        }
        Change::Remove(db, key) => _ = store.remove(db, &name(key), 0),
        Change::Expiry(db, key, at) => _ = store.set_expiry(db, &name(key), at, 0),
        Change::Rename(db, from, to) => {
            if let Some((value, expiry)) = store.take(db, &name(from), 0) {
                store.insert(db, &name(to), value, expiry, 0);
            }
        }
        Change::ExpireCycle(now) => _ = store.expire_cycle(now, 100),
        Change::FlushSlot(key) => {
            let mut slots = SlotSet::new();
            slots.insert(key_slot(&name(key)));
            store.flush_slots(&slots);
        }
        Change::FlushDb(db) => _ = store.flush_db(db),
        Change::SwapDbs => _ = store.swap_dbs(0, 1),
    }
    store.reclaim(5);
}

fn filter(half: bool) -> CutFilter {
    let mut slots = SlotSet::new();
    Slot::all().filter(|slot| slot.0 % 2 == 0).for_each(|slot| _ = slots.insert(slot));
    if half { CutFilter::Slots(slots) } else { CutFilter::All }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_writes_during_a_scan_leave_exactly_the_state_at_the_cut(
        cluster: bool,
        before in prop::collection::vec(change(), 0..120),
        during in prop::collection::vec(change(), 0..200),
        begins in prop::collection::vec((0_usize..200, any::<bool>()), 1..4),
        budget in 1_usize..40,
        numbers_go_round: bool,
    ) {
        // In cluster mode an empty slot is a step, and there are 32768 of them.
        let budget = if cluster { budget * 400 } else { budget };
        let mut store = store(cluster);
        store.set_expiry_rule(ExpiryRule::Delete);
        if numbers_go_round {
            store.cuts.now = NUMBER_MASK;
        }
        for change in before {
            apply(&mut store, change);
        }
        let mut cuts = Vec::new();
        for (turn, change) in during.into_iter().enumerate() {
            for (_, half) in begins.iter().filter(|(at, _)| *at == turn) {
                let filter = filter(*half);
                let expected = contents(&store, &filter);
                cuts.push((store.begin_cut(filter), expected, Contents::new()));
            }
            apply(&mut store, change);
            for (cut, _, seen) in &mut cuts {
                if turn % 3 == 0 {
                    scan(&mut store, *cut, budget, seen);
                }
            }
        }
        for (cut, expected, mut seen) in cuts {
            while scan(&mut store, cut, 10_000, &mut seen) == CutProgress::Running {}
            prop_assert_eq!(seen, expected);
        }
        prop_assert_eq!((store.running_cuts(), store.side_buffer_bytes()), (0, 0));
    }
}
