//! Members in the order of their scores: a B+tree that counts.
//!
//! ```text
//!               [ b:40 | m:64 | t:31 ]             inner: a separator and a count for each child
//!              /        |          \
//!   [a .. l: 40]  [m .. s: 64]  [t .. z: 31]       leaf: scores and names in order
//! ```
//!
//! Counts make places cheap: the place of a member, and the member at a place, are one walk down.
//! Order is by score, and by the bytes of the name among equal scores. Nodes are behind reference
//! counts: a clone of the tree shares all of them, and a write copies the few on its way down, so
//! a snapshot of a sorted set of millions copies none of it.
//!
//! Invariants: a child's separator is not above the child's entries, and above all entries of the
//! children to its left; the first child's separator is never looked at; `len` counts entries.
//! No leaf but the root's is empty.
//!
//! Not known here: which score a member has; the member table beside this tree knows it.

use std::{cmp::Ordering, sync::Arc};

/// Entries of a leaf, at most.
const LEAF_MAX: usize = 64;

/// Children of an inner node, at most.
const INNER_MAX: usize = 32;

/// A node with less than this part of what it could hold looks for a neighbour to join.
const SPARSE: usize = 4;

/// A member with its score.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) score: f64,
    pub(super) name: Arc<[u8]>,
}

/// How two members stand to each other; scores are never NaN.
pub(super) fn order(left: (f64, &[u8]), right: (f64, &[u8])) -> Ordering {
    let by_score = left.0.partial_cmp(&right.0).unwrap_or(Ordering::Equal);
    by_score.then_with(|| left.1.cmp(right.1))
}

impl Entry {
    fn is_below(&self, other: (f64, &[u8])) -> bool {
        order((self.score, &self.name), other) == Ordering::Less
    }
}

#[derive(Clone, Debug)]
struct Child {
    separator: Entry,
    len: usize,
    node: Arc<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<Entry>),
    Inner(Vec<Child>),
}

/// A node that was split off, with its separator.
type Split = (Entry, Node);

/// The child in which an entry is, or belongs.
fn child_of(children: &[Child], key: (f64, &[u8])) -> usize {
    let above = children.get(1..).unwrap_or_default();
    above.partition_point(|child| {
        order((child.separator.score, &child.separator.name), key) != Ordering::Greater
    })
}

/// Where to cut a full row: in the middle, but behind everything when it grew at its end, so that
/// members that come in order leave full nodes behind.
fn cut(len: usize, grown_at: usize) -> usize {
    if grown_at + 1 == len { len - 1 } else { len / 2 }
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.iter().map(|child| child.len).sum(),
        }
    }

    /// How full it is: its width, and the greatest one.
    fn width(&self) -> (usize, usize) {
        match self {
            Self::Leaf(entries) => (entries.len(), LEAF_MAX),
            Self::Inner(children) => (children.len(), INNER_MAX),
        }
    }

    fn insert(&mut self, entry: Entry) -> Option<Split> {
        match self {
            Self::Leaf(entries) => {
                let place =
                    entries.partition_point(|kept| kept.is_below((entry.score, &entry.name)));
                entries.insert(place, entry);
                if entries.len() <= LEAF_MAX {
                    return None;
                }
                let right = entries.split_off(cut(entries.len(), place));
                entries.shrink_to_fit();
                Some((right.first()?.clone(), Self::Leaf(right)))
            }
            Self::Inner(children) => {
                let at = child_of(children, (entry.score, &entry.name));
                let child = children.get_mut(at)?;
                child.len += 1;
                let (separator, right) = Arc::make_mut(&mut child.node).insert(entry)?;
                let len = right.len();
                child.len -= len;
                children.insert(at + 1, Child { separator, len, node: Arc::new(right) });
                if children.len() <= INNER_MAX {
                    return None;
                }
                let right = children.split_off(cut(children.len(), at + 1));
                Some((right.first()?.separator.clone(), Self::Inner(right)))
            }
        }
    }

    fn remove(&mut self, key: (f64, &[u8])) -> bool {
        match self {
            Self::Leaf(entries) => {
                let found = entries.binary_search_by(|kept| order((kept.score, &kept.name), key));
                found.map(|place| entries.remove(place)).is_ok()
            }
            Self::Inner(children) => {
                let at = child_of(children, key);
                let Some(child) = children.get_mut(at) else { return false };
                if !Arc::make_mut(&mut child.node).remove(key) {
                    return false;
                }
                child.len -= 1;
                if child.len == 0 {
                    children.remove(at);
                } else {
                    join(children, at);
                }
                true
            }
        }
    }

    /// Appends the node to the right, whose separator is given.
    fn append(&mut self, separator: Entry, right: Node) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => left.extend(right),
            (Self::Inner(left), Self::Inner(mut right)) => {
                // Among the left node's children this separator will be looked at.
                if let Some(first) = right.first_mut() {
                    first.separator = separator;
                }
                left.extend(right);
            }
            // All leaves are equally deep.
            _ => {}
        }
    }

    fn first(&self) -> Option<&Entry> {
        match self {
            Self::Leaf(entries) => entries.first(),
            Self::Inner(children) => children.first()?.node.first(),
        }
    }

    /// Frees the last leaf: how many entries went, 0 when there is none left.
    fn crumble(&mut self) -> usize {
        match self {
            Self::Leaf(entries) => std::mem::take(entries).len(),
            Self::Inner(children) => {
                let Some(last) = children.last_mut() else { return 0 };
                if let Self::Leaf(entries) = &*last.node {
                    let freed = entries.len();
                    children.pop();
                    return freed;
                }
                let inner = Arc::make_mut(&mut last.node);
                let freed = inner.crumble();
                if inner.width().0 == 0 {
                    children.pop();
                }
                freed
            }
        }
    }
}

/// Joins a sparse child with a neighbour where both fit well into one node.
fn join(children: &mut Vec<Child>, at: usize) {
    let width = |at: usize| children.get(at).map_or((usize::MAX, 0), |child| child.node.width());
    let (own, most) = width(at);
    if own >= most / SPARSE {
        return;
    }
    for left in [at.checked_sub(1), Some(at)].into_iter().flatten() {
        if width(left).0.saturating_add(width(left + 1).0) > most / 2 {
            continue;
        }
        let right = children.remove(left + 1);
        if let Some(left) = children.get_mut(left) {
            left.len += right.len;
            let node = Arc::unwrap_or_clone(right.node);
            Arc::make_mut(&mut left.node).append(right.separator, node);
        }
        return;
    }
}

/// The tree. See the head of this file.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: Arc<Node>,
    len: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry that is not in the tree.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.len += 1;
        let Some((separator, right)) = Arc::make_mut(&mut self.root).insert(entry) else { return };
        let len = right.len();
        let first = self.root.first().unwrap_or(&separator).clone();
        let left = Child { separator: first, len: self.len - len, node: Arc::clone(&self.root) };
        let right = Child { separator, len, node: Arc::new(right) };
        self.root = Arc::new(Node::Inner(vec![left, right]));
    }

    /// Removes an entry; false when it is not there.
    pub(super) fn remove(&mut self, score: f64, name: &[u8]) -> bool {
        if !Arc::make_mut(&mut self.root).remove((score, name)) {
            return false;
        }
        self.len -= 1;
        while let Node::Inner(children) = &*self.root {
            match children.as_slice() {
                [] => self.root = Arc::new(Node::Leaf(Vec::new())),
                [only] => self.root = Arc::clone(&only.node),
                _ => break,
            }
        }
        true
    }

    /// How many entries come before the first for which `is_before` does not hold. Once it does
    /// not hold it must not hold for any later entry.
    pub(super) fn position(&self, mut is_before: impl FnMut(f64, &[u8]) -> bool) -> usize {
        let mut passed = 0;
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Leaf(entries) => {
                    let within =
                        entries.partition_point(|entry| is_before(entry.score, &entry.name));
                    return passed + within;
                }
                Node::Inner(children) => {
                    let above = children.get(1..).unwrap_or_default();
                    let at = above.partition_point(|child| {
                        is_before(child.separator.score, &child.separator.name)
                    });
                    passed += children.iter().take(at).map(|child| child.len).sum::<usize>();
                    let Some(child) = children.get(at) else { return passed };
                    node = &child.node;
                }
            }
        }
    }

    /// The leaf with the entry at a place, and the place of its first entry.
    fn leaf_at(&self, place: usize) -> (&[Entry], usize) {
        let mut first = 0;
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Leaf(entries) => return (entries, first),
                Node::Inner(children) => {
                    let mut next = None;
                    for child in children {
                        if place < first + child.len {
                            next = Some(&child.node);
                            break;
                        }
                        first += child.len;
                    }
                    let Some(child) = next else { return (&[], first) };
                    node = child;
                }
            }
        }
    }

    /// The entries from one place up to, but without, another.
    pub(super) fn range(&self, start: usize, end: usize) -> Walk<'_> {
        let end = end.min(self.len);
        Walk { tree: self, start: start.min(end), end, front: (&[], 0), back: (&[], 0) }
    }

    /// Frees some entries: how many, 0 when there are none. The tree is good for nothing else
    /// afterwards.
    pub(super) fn crumble(&mut self) -> usize {
        Arc::make_mut(&mut self.root).crumble()
    }
}

/// Entries in order, from either end. Each leaf is looked up once.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    tree: &'a Tree,
    start: usize,
    end: usize,
    front: (&'a [Entry], usize),
    back: (&'a [Entry], usize),
}

fn entry_in<'a>(
    leaf: &mut (&'a [Entry], usize),
    tree: &'a Tree,
    place: usize,
) -> Option<&'a Entry> {
    if place < leaf.1 || place >= leaf.1 + leaf.0.len() {
        *leaf = tree.leaf_at(place);
    }
    leaf.0.get(place.checked_sub(leaf.1)?)
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        if self.start >= self.end {
            return None;
        }
        self.start += 1;
        entry_in(&mut self.front, self.tree, self.start - 1)
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.start >= self.end {
            return None;
        }
        self.end -= 1;
        entry_in(&mut self.back, self.tree, self.end)
    }
}

#[cfg(test)]
impl Tree {
    /// Checks what the head of this file promises.
    pub(super) fn check(&self) {
        fn visit(node: &Node, depth: usize, leaves: &mut Vec<usize>) -> usize {
            match node {
                Node::Leaf(entries) => {
                    assert!(entries.len() <= LEAF_MAX);
                    leaves.push(depth);
                    entries.len()
                }
                Node::Inner(children) => {
                    assert!((1..=INNER_MAX).contains(&children.len()));
                    let mut sum = 0;
                    for child in children {
                        assert!(child.len > 0);
                        assert_eq!(visit(&child.node, depth + 1, leaves), child.len);
                        sum += child.len;
                    }
                    sum
                }
            }
        }
        let mut leaves = Vec::new();
        assert_eq!(visit(&self.root, 0, &mut leaves), self.len);
        assert!(leaves.windows(2).all(|pair| pair[0] == pair[1]), "all leaves are equally deep");
        let entries: Vec<&Entry> = self.range(0, self.len).collect();
        assert!(entries.is_sorted_by(|l, r| l.is_below((r.score, &r.name))));
    }
}
