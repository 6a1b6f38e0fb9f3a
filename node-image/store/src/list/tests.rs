//! Lists against a plain sequence, and what clones share.

use proptest::prelude::*;

use super::*;
use crate::limits::HashSeed;

fn limits(size: i32) -> Limits {
    Limits { list_max_listpack_size: size, ..Limits::new(HashSeed([7; 16])) }
}

fn elements(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(<[u8]>::to_vec).collect()
}

#[test]
fn a_clone_keeps_its_elements_while_the_original_is_written() {
    let limits = limits(4);
    let mut list = List::new();
    (0..100).for_each(|n| list.push(End::Right, n.to_string().as_bytes(), &limits));
    let clone = list.clone();
    list.set(50, b"changed");
    list.remove_from(End::Left, 40);
    list.insert(20, b"new", &limits);
    assert_eq!(elements(&clone), (0..100).map(|n| n.to_string().into_bytes()).collect::<Vec<_>>());
}

#[test]
fn nodes_keep_the_limit_of_the_configuration() {
    let mut list = List::new();
    (0..100).for_each(|_| list.push(End::Left, b"x", &limits(7)));
    assert!(list.nodes().all(|node| node.len() <= 7));
    let mut list = List::new();
    (0..100).for_each(|_| list.push(End::Right, &[b'x'; 1000], &limits(-1)));
    assert_eq!(list.node_count(), 25);
}

#[derive(Clone, Debug)]
enum Change {
    Push(bool, u8),
    Pop(bool),
    Set(usize, u8),
    Insert(usize, u8),
    RemoveEqual(u8, usize, bool),
    RemoveFrom(bool, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<bool>(), 0_u8..6).prop_map(|(left, n)| Change::Push(left, n)),
        1 => any::<bool>().prop_map(Change::Pop),
        1 => (0_usize..60, 0_u8..6).prop_map(|(index, n)| Change::Set(index, n)),
        3 => (0_usize..60, 0_u8..6).prop_map(|(index, n)| Change::Insert(index, n)),
        1 => (0_u8..6, 1_usize..5, any::<bool>())
            .prop_map(|(n, count, left)| Change::RemoveEqual(n, count, left)),
        1 => (any::<bool>(), 0_usize..20).prop_map(|(left, n)| Change::RemoveFrom(left, n)),
    ]
}

fn end(left: bool) -> End {
    if left { End::Left } else { End::Right }
}

fn remove_equal(model: &mut Vec<Vec<u8>>, element: &[u8], count: usize, left: bool) -> usize {
    let mut places: Vec<usize> = (0..model.len()).filter(|i| model[*i] == element).collect();
    if !left {
        places.reverse();
    }
    places.truncate(count);
    places.sort_unstable();
    places.iter().rev().for_each(|place| {
        model.remove(*place);
    });
    places.len()
}

proptest! {
    #[test]
    fn behaves_like_a_plain_sequence(
        changes in prop::collection::vec(change(), 0..150), size in prop_oneof![1..5_i32, Just(-2)],
    ) {
        let limits = limits(size);
        let mut list = List::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for change in changes {
            match change {
                Change::Push(left, n) => {
                    list.push(end(left), &[b'a' + n], &limits);
                    model.insert(if left { 0 } else { model.len() }, vec![b'a' + n]);
                }
                Change::Pop(left) => {
                    let expected = match left {
                        _ if model.is_empty() => None,
                        true => Some(model.remove(0)),
                        false => model.pop(),
                    };
                    prop_assert_eq!(list.pop(end(left)).map(<[u8]>::into_vec), expected);
                }
                Change::Set(index, n) => {
                    prop_assert_eq!(list.set(index, &[b'A' + n]), index < model.len());
                    if let Some(element) = model.get_mut(index) {
                        *element = vec![b'A' + n];
                    }
                }
                Change::Insert(index, n) => {
                    list.insert(index, &[b'a' + n], &limits);
                    model.insert(index.min(model.len()), vec![b'a' + n]);
                }
                Change::RemoveEqual(n, count, left) => {
                    let element = [b'a' + n];
                    prop_assert_eq!(
                        list.remove_equal(&element, count, end(left)),
                        remove_equal(&mut model, &element, count, left)
                    );
                }
                Change::RemoveFrom(left, count) => {
                    list.remove_from(end(left), count);
                    let count = count.min(model.len());
                    if left {
                        model.drain(..count);
                    } else {
                        model.truncate(model.len() - count);
                    }
                }
            }
            prop_assert_eq!(list.len(), model.len());
            prop_assert_eq!(&elements(&list), &model);
            for (index, element) in model.iter().enumerate() {
                prop_assert_eq!(list.get(index), Some(&**element));
                prop_assert_eq!(list.iter_from(index).count(), model.len() - index);
            }
            prop_assert_eq!(list.bytes, model.len());
            prop_assert!(list.nodes.iter().all(|node| !node.elements.is_empty()));
        }
    }
}
