//! The table of keys against a plain map: lookups, splits, merges, scans, bounds, bytes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::entry::Fresh;

const SEED: HashSeed = HashSeed([9; 16]);

fn name(number: u32) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn hash(number: u32) -> u32 {
    SEED.hash(&name(number))
}

fn insert(table: &mut KeyTable, number: u32) {
    if table.locate(hash(number), &name(number)).is_none() {
        let deadline_ms = if number.is_multiple_of(3) { NEVER } else { i64::from(number) };
        let fresh = Fresh::Int(i64::from(number));
        let entry = Entry::new(&name(number), fresh, deadline_ms, hash(number));
        table.insert(hash(number), entry, &SEED);
    }
}

fn remove(table: &mut KeyTable, number: u32) -> bool {
    table.remove(hash(number), &name(number)).is_some()
}

fn number(entry: &Entry) -> u32 {
    std::str::from_utf8(&entry.key()[4..]).unwrap().parse().unwrap()
}

fn counted_bytes(table: &KeyTable) -> usize {
    let more = |bucket: &Bucket| bucket.more.as_deref().map_or(0, |more| more_bytes(more.len()));
    let segments = table.segments.iter();
    segments.map(|s| s.bytes() + s.buckets.iter().map(more).sum::<usize>()).sum()
}

#[test]
fn finds_what_was_inserted_while_it_grows_and_shrinks() {
    let mut table = KeyTable::default();
    for number in 0..10_000 {
        insert(&mut table, number);
    }
    assert_eq!(table.len(), 10_000);
    assert!(table.buckets >= 1_250);
    for number in 0..9_990 {
        assert!(remove(&mut table, number));
        assert!(!remove(&mut table, number));
    }
    assert!(table.buckets <= 11, "it gives buckets back");
    let left: BTreeSet<u32> = table.iter().map(number).collect();
    assert_eq!(left, (9_990..10_000).collect());
}

#[test]
fn a_full_table_takes_less_than_thirteen_bytes_an_entry() {
    for count in [150, 183, 250, 400, 10_000, 13_000, 16_000, 20_000] {
        let mut table = KeyTable::default();
        (0..count).for_each(|number| insert(&mut table, number));
        let per_entry = table.bytes() as f64 / f64::from(count);
        assert!(per_entry < 13.0, "{count}: {per_entry}");
    }
}

#[test]
fn a_random_entry_is_chosen_evenly() {
    let mut table = KeyTable::default();
    (0..100).for_each(|number| insert(&mut table, number));
    let mut random = crate::random::Random::new(1);
    let mut seen = vec![0_u32; 100];
    for _ in 0..100_000 {
        seen[number(table.random(|| random.next_u64()).unwrap()) as usize] += 1;
    }
    assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
}

#[test]
fn a_segments_bound_is_never_later_than_its_earliest_deadline() {
    let mut table = KeyTable::default();
    (1..5_000).rev().for_each(|number| insert(&mut table, number));
    (1..4_000).step_by(3).for_each(|number| _ = remove(&mut table, number));
    for segment in 0..table.segment_count() {
        let earliest = table.segment_entries(segment).map(Entry::deadline_ms).min();
        let earliest = earliest.unwrap_or(NEVER);
        assert!(table.segment_earliest_ms(segment) <= earliest);
        table.refresh_segment_earliest(segment);
        assert_eq!(table.segment_earliest_ms(segment), earliest);
    }
}

#[test]
fn a_table_crumbles_to_nothing_segment_by_segment() {
    let mut table = KeyTable::default();
    (0..3_000).for_each(|number| insert(&mut table, number));
    let mut freed = 0;
    while let Some(count) = table.crumble_into(drop) {
        freed += count;
    }
    assert_eq!(freed, 3_000);
}

proptest! {
    #[test]
    fn behaves_like_a_plain_map_and_counts_its_bytes(
        changes in prop::collection::vec((0_u8..3, 0_u32..400), 0..2_000),
    ) {
        let mut table = KeyTable::default();
        let mut model = BTreeSet::new();
        for (kind, n) in changes {
            match kind {
                0 | 1 => {
                    insert(&mut table, n);
                    model.insert(n);
                }
                _ => prop_assert_eq!(remove(&mut table, n), model.remove(&n)),
            }
            prop_assert_eq!(table.len(), model.len());
        }
        let mut all: Vec<u32> = table.iter().map(number).collect();
        all.sort_unstable();
        prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(table.bytes, counted_bytes(&table));
    }

    #[test]
    fn a_scan_shows_once_what_was_there_throughout(
        kept in prop::collection::btree_set(0_u32..100_000, 0..600),
        changes in prop::collection::vec((any::<bool>(), 0_u32..100_000), 0..2_000),
        changes_per_step in 1_usize..200,
    ) {
        let mut table = KeyTable::default();
        for n in &kept { insert(&mut table, *n); }
        let mut changes = changes.into_iter().filter(|(_, n)| !kept.contains(n));
        let mut seen = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = table.scan_on(cursor, &SEED, |entry| {
                if kept.contains(&number(entry)) { seen.push(number(entry)); }
            });
            if cursor == 0 {
                break;
            }
            for (add, n) in changes.by_ref().take(changes_per_step) {
                if add { insert(&mut table, n) } else { _ = remove(&mut table, n) }
            }
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, kept.into_iter().collect::<Vec<_>>());
    }
}
