//! Promises of the HyperLogLog; equality with Redis' bytes is the conformance dialogues' part.

use super::*;

fn element(number: u64) -> Vec<u8> {
    format!("element:{number}").into_bytes()
}

fn filled(elements: u64, sparse_bytes_max: usize) -> Vec<u8> {
    let mut bytes = new();
    for number in 0..elements {
        add(&mut bytes, &element(number), sparse_bytes_max).unwrap();
    }
    bytes
}

fn registers(bytes: &[u8]) -> Registers {
    let mut registers = [0; REGISTERS];
    merge_into(&mut registers, bytes).unwrap();
    registers
}

#[test]
fn an_empty_one_has_eighteen_bytes_and_counts_nothing() {
    let bytes = new();
    assert_eq!(bytes, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    assert_eq!(cardinality(&bytes), Ok(0));
    assert_eq!(cached(&bytes), Some(0));
    assert_eq!(shown(&bytes).unwrap(), "Z:16384");
}

#[test]
fn both_forms_hold_the_same_registers_and_count_within_three_percent() {
    for elements in [1, 10, 100, 1000, 4000] {
        let sparse = filled(elements, usize::MAX);
        let dense = filled(elements, 0);
        assert!(is_sparse(&sparse) && !is_sparse(&dense));
        assert!(registers(&sparse) == registers(&dense), "{elements}");
        let counted = cardinality(&sparse).unwrap();
        assert_eq!(counted, cardinality(&dense).unwrap());
        assert_eq!(counted, cardinality_of(&registers(&dense)));
        let error = (counted as f64 - elements as f64).abs() / elements as f64;
        assert!(error < 0.03, "{counted} for {elements}");
        let mut changed = sparse;
        make_dense(&mut changed).unwrap();
        assert!(changed == dense);
    }
}

#[test]
fn a_hundred_thousand_elements_are_counted_within_three_percent() {
    let counted = cardinality(&filled(100_000, 0)).unwrap();
    assert!((97_000..103_000).contains(&counted), "{counted}");
}

#[test]
fn an_element_that_was_added_changes_nothing_again() {
    for limit in [0, usize::MAX] {
        let mut bytes = filled(300, limit);
        let before = bytes.clone();
        for number in 0..300 {
            assert_eq!(add(&mut bytes, &element(number), limit), Ok(false));
        }
        assert_eq!(bytes, before);
    }
}

#[test]
fn a_sparse_one_becomes_dense_rather_than_longer_than_its_limit() {
    let mut bytes = new();
    for number in 0..20_000 {
        add(&mut bytes, &element(number), 3000).unwrap();
        assert!(!is_sparse(&bytes) || bytes.len() <= 3000);
    }
    assert!(!is_sparse(&bytes));
    assert_eq!(check(&bytes), Ok(()));
}

#[test]
fn a_value_that_runs_cannot_say_makes_it_dense() {
    let mut bytes = new();
    assert_eq!(raise(&mut bytes, 5, 32, usize::MAX), Ok(true));
    assert!(is_sparse(&bytes));
    assert_eq!(raise(&mut bytes, 5, 33, usize::MAX), Ok(true));
    assert!(!is_sparse(&bytes));
    assert_eq!(registers(&bytes)[4..7], [0, 33, 0]);
}

#[test]
fn merging_gives_what_adding_all_would_have_given() {
    let (mut a, mut b) = (new(), new());
    for number in 0..2000 {
        add(if number % 3 == 0 { &mut a } else { &mut b }, &element(number), 0).unwrap();
    }
    let mut all = registers(&a);
    merge_into(&mut all, &b).unwrap();
    let mut merged = new();
    raise_all(&mut merged, &all, false, usize::MAX).unwrap();
    assert!(is_sparse(&merged));
    assert!(registers(&merged) == registers(&filled(2000, 0)));
}

#[test]
fn the_cache_is_stale_once_its_highest_bit_is_set() {
    let mut bytes = filled(10, 3000);
    cache(&mut bytes, 10);
    assert_eq!(cached(&bytes), Some(10));
    forget_cached(&mut bytes);
    assert_eq!(cached(&bytes), None);
}

#[test]
fn what_is_not_one_is_refused_and_a_broken_one_is_found_out() {
    for wrong in [&b""[..], b"HYLL", &[0; 16], b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0", b"hyll\x01 "] {
        assert_eq!(check(wrong), Err(NotOne));
    }
    let mut dense = filled(10, 0);
    dense.pop();
    assert_eq!(check(&dense), Err(NotOne));
    for tail in [&b"\x00"[..], b"\x7f", b"hello"] {
        let mut sparse = filled(10, 3000);
        sparse.extend_from_slice(tail);
        assert_eq!(cardinality(&sparse), Err(Corrupt));
        assert_eq!(make_dense(&mut sparse), Err(Corrupt));
    }
    let mut short = filled(10, 3000);
    short.truncate(20);
    assert_eq!(cardinality(&short), Err(Corrupt));
}

#[test]
fn no_bytes_behind_the_header_bring_it_down() {
    let mut state = 1_u32;
    for _ in 0..2000 {
        let mut bytes = filled(40, 3000);
        for _ in 0..4 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = HEADER_BYTES + (state >> 8) as usize % (bytes.len() - HEADER_BYTES);
            bytes[at] = (state >> 24) as u8;
        }
        let _ = add(&mut bytes, b"x", 3000);
        let _ = shown(&bytes);
        let _ = cardinality(&bytes);
        let _ = make_dense(&mut bytes);
    }
}
