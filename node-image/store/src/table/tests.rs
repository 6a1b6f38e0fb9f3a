//! The table while it grows and shrinks: lookups, scans, samples, bounds of deadlines.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Number(u32);

impl Item for Number {
    fn hash(&self) -> u32 {
        self.0.wrapping_mul(0x9E37_79B1)
    }
}

fn insert(table: &mut Table<Number>, number: u32) {
    if table.find(Number(number).hash(), |item| item.0 == number).is_none() {
        table.insert(Number(number));
    }
}

fn remove(table: &mut Table<Number>, number: u32) -> Option<Number> {
    table.remove(Number(number).hash(), |item| item.0 == number)
}

#[test]
fn finds_what_was_inserted_while_it_grows_and_shrinks() {
    let mut table = Table::default();
    for number in 0..10_000 {
        insert(&mut table, number);
    }
    assert_eq!(table.len(), 10_000);
    assert!(table.bucket_count() >= 2_500);
    for number in 0..9_990 {
        assert_eq!(remove(&mut table, number), Some(Number(number)));
        assert_eq!(remove(&mut table, number), None);
    }
    assert!(table.bucket_count() <= 11, "it gives buckets back");
    let left: BTreeSet<u32> = table.iter().map(|item| item.0).collect();
    assert_eq!(left, (9_990..10_000).collect());
}

#[test]
fn a_clone_keeps_what_it_had_while_the_original_is_written() {
    let mut table = Table::default();
    (0..1_000).for_each(|number| insert(&mut table, number));
    let clone = table.clone();
    (0..1_000).for_each(|number| {
        remove(&mut table, number);
    });
    assert_eq!(table.len(), 0);
    assert_eq!(clone.iter().count(), 1_000);
}

#[test]
fn a_random_item_is_chosen_evenly() {
    let mut table = Table::default();
    (0..100).for_each(|number| insert(&mut table, number));
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    let mut seen = vec![0_u32; 100];
    for _ in 0..100_000 {
        seen[table.random(&mut next).unwrap().0 as usize] += 1;
    }
    assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
}

proptest! {
    #[test]
    fn a_scan_returns_everything_that_was_there_throughout(
        kept in prop::collection::btree_set(0_u32..100_000, 0..600),
        changes in prop::collection::vec((any::<bool>(), 0_u32..100_000), 0..2_000),
        changes_per_step in 1_usize..200,
    ) {
        let mut table = Table::default();
        for number in &kept { insert(&mut table, *number); }
        let mut changes = changes.into_iter().filter(|(_, number)| !kept.contains(number));
        let mut seen = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = table.scan(cursor, |item| { seen.insert(item.0); });
            if cursor == 0 {
                break;
            }
            for (add, number) in changes.by_ref().take(changes_per_step) {
                if add {
                    insert(&mut table, number);
                } else {
                    remove(&mut table, number);
                }
            }
        }
        prop_assert!(kept.is_subset(&seen));
    }

    #[test]
    fn a_still_table_shows_each_item_once(
        numbers in prop::collection::btree_set(any::<u32>(), 0..900),
    ) {
        let mut table = Table::default();
        for number in &numbers { insert(&mut table, *number); }
        let mut seen = Vec::new();
        let mut cursor = 0;
        loop {
            let before = cursor;
            cursor = table.scan(cursor, |item| {
                assert!(!is_before(item.hash(), before));
                seen.push(item.0);
            });
            if cursor == 0 {
                break;
            }
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, numbers.into_iter().collect::<Vec<_>>());
    }
}
