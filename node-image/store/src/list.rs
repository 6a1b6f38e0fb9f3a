//! Lists: a chain of nodes, each with a run of elements.
//!
//!   nodes   [a b c] - [d e] - [f g h i] - ...        at most 8 KiB each by default
//!
//! Both ends are cheap. A place in the middle is found by counting nodes from the nearer end. A
//! node is behind a reference count: a clone of a list shares every node, and a write copies the
//! one node that it touches. This is what makes a snapshot of a long list affordable.
//!
//! Invariants: no node is empty; `len` counts the elements; `bytes` is their sum of lengths.
//!
//! Not known here: list-compress-depth; nodes are never compressed.

use std::{collections::VecDeque, sync::Arc};

use crate::limits::Limits;

/// Elements never share a node beyond this number, so that a copy of a node stays short.
const NODE_ELEMENTS_MAX: usize = 1024;

/// What an element costs beyond its bytes.
const ELEMENT_BYTES: usize = 16;

/// What a node costs beyond its elements.
const NODE_BYTES: usize = 72;

type Element = Box<[u8]>;

#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    elements: VecDeque<Element>,
    bytes: usize,
}

impl Node {
    fn has_room(&self, more: usize, limits: &Limits) -> bool {
        if self.elements.len() >= NODE_ELEMENTS_MAX {
            return false;
        }
        match limits.list_max_listpack_size {
            count @ 1.. => self.elements.len() < count as usize,
            size => self.bytes + more <= node_bytes_max(size),
        }
    }
}

/// The bytes of a node for a negative `list-max-listpack-size`.
fn node_bytes_max(size: i32) -> usize {
    match size {
        -1 => 4 << 10,
        -3 => 16 << 10,
        -4 => 32 << 10,
        ..=-5 => 64 << 10,
        _ => 8 << 10,
    }
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where LPUSH adds.
    Left,
    /// Where RPUSH adds.
    Right,
}

/// A list.
#[derive(Clone, Debug, Default)]
pub struct List {
    nodes: VecDeque<Arc<Node>>,
    len: usize,
    bytes: usize,
}

impl List {
    /// The empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// An estimate of its memory.
    pub fn heap_bytes(&self) -> usize {
        self.bytes + self.len * ELEMENT_BYTES + self.nodes.len() * NODE_BYTES + size_of::<Self>()
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, element: &[u8], limits: &Limits) {
        let fits = match end {
            End::Left => self.nodes.front(),
            End::Right => self.nodes.back(),
        }
        .is_some_and(|node| node.has_room(element.len(), limits));
        if !fits {
            match end {
                End::Left => self.nodes.push_front(Arc::default()),
                End::Right => self.nodes.push_back(Arc::default()),
            }
        }
        let Some(node) = self.end_node_mut(end) else { return };
        match end {
            End::Left => node.elements.push_front(element.into()),
            End::Right => node.elements.push_back(element.into()),
        }
        node.bytes += element.len();
        self.len += 1;
        self.bytes += element.len();
    }

    fn end_node_mut(&mut self, end: End) -> Option<&mut Node> {
        match end {
            End::Left => self.nodes.front_mut(),
            End::Right => self.nodes.back_mut(),
        }
        .map(Arc::make_mut)
    }

    /// Takes the element at an end.
    pub fn pop(&mut self, end: End) -> Option<Box<[u8]>> {
        let node = self.end_node_mut(end)?;
        let element = match end {
            End::Left => node.elements.pop_front(),
            End::Right => node.elements.pop_back(),
        }?;
        node.bytes -= element.len();
        let emptied = node.elements.is_empty();
        self.len -= 1;
        self.bytes -= element.len();
        if emptied {
            match end {
                End::Left => self.nodes.pop_front(),
                End::Right => self.nodes.pop_back(),
            };
        }
        Some(element)
    }

    /// The node and the place in it of an index below the length.
    fn locate(&self, index: usize) -> (usize, usize) {
        if index <= self.len / 2 {
            let mut before = 0;
            for (place, node) in self.nodes.iter().enumerate() {
                if index < before + node.elements.len() {
                    return (place, index - before);
                }
                before += node.elements.len();
            }
        } else {
            let mut end = self.len;
            for (place, node) in self.nodes.iter().enumerate().rev() {
                let start = end - node.elements.len();
                if index >= start {
                    return (place, index - start);
                }
                end = start;
            }
        }
        (self.nodes.len(), 0)
    }

    /// The element at an index.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len {
            return None;
        }
        let (node, place) = self.locate(index);
        self.nodes.get(node)?.elements.get(place).map(|element| &**element)
    }

    /// Replaces the element at an index; false when there is none.
    pub fn set(&mut self, index: usize, element: &[u8]) -> bool {
        if index >= self.len {
            return false;
        }
        let (node, place) = self.locate(index);
        let Some(node) = self.nodes.get_mut(node).map(Arc::make_mut) else { return false };
        let Some(old) = node.elements.get_mut(place) else { return false };
        self.bytes = self.bytes - old.len() + element.len();
        node.bytes = node.bytes - old.len() + element.len();
        *old = element.into();
        true
    }

    /// Puts an element before the one at `index`; at the end when `index` is the length.
    pub fn insert(&mut self, index: usize, element: &[u8], limits: &Limits) {
        if index == 0 {
            return self.push(End::Left, element, limits);
        }
        if index >= self.len {
            return self.push(End::Right, element, limits);
        }
        let (mut at, mut place) = self.locate(index);
        if self.nodes.get(at).is_some_and(|node| !node.has_room(element.len(), limits)) {
            if place == 0 && self.nodes[at - 1].has_room(element.len(), limits) {
                at -= 1;
                place = self.nodes[at].elements.len();
            } else {
                (at, place) = self.make_room(at, place);
            }
        }
        let node = Arc::make_mut(&mut self.nodes[at]);
        node.elements.insert(place, element.into());
        node.bytes += element.len();
        self.len += 1;
        self.bytes += element.len();
    }

    /// Cuts a full node at a place and gives a fresh node between both halves.
    fn make_room(&mut self, at: usize, place: usize) -> (usize, usize) {
        let node = Arc::make_mut(&mut self.nodes[at]);
        let tail = node.elements.split_off(place);
        let tail_bytes = tail.iter().map(|element| element.len()).sum();
        node.bytes -= tail_bytes;
        let head_is_empty = node.elements.is_empty();
        if !tail.is_empty() {
            self.nodes.insert(at + 1, Arc::new(Node { elements: tail, bytes: tail_bytes }));
        }
        if head_is_empty {
            return (at, 0);
        }
        self.nodes.insert(at + 1, Arc::default());
        (at + 1, 0)
    }

    /// Removes elements equal to `element`, at most `count` of them, searching from an end: how
    /// many went.
    pub fn remove_equal(&mut self, element: &[u8], count: usize, from: End) -> usize {
        let mut left = count;
        let nodes = self.nodes.len();
        for step in 0..nodes {
            if left == 0 {
                break;
            }
            let at = if from == End::Left { step } else { nodes - 1 - step };
            if !self.nodes[at].elements.iter().any(|kept| **kept == *element) {
                continue;
            }
            let node = Arc::make_mut(&mut self.nodes[at]);
            let before = left;
            if from == End::Left {
                node.elements.retain(|kept| keep_other(kept, element, &mut left));
            } else {
                node.elements.make_contiguous().reverse();
                node.elements.retain(|kept| keep_other(kept, element, &mut left));
                node.elements.make_contiguous().reverse();
            }
            node.bytes -= (before - left) * element.len();
        }
        let removed = count - left;
        self.nodes.retain(|node| !node.elements.is_empty());
        self.len -= removed;
        self.bytes -= removed * element.len();
        removed
    }

    /// Removes `count` elements from an end. Whole nodes go at once.
    pub fn remove_from(&mut self, end: End, count: usize) {
        let mut left = count.min(self.len);
        while left > 0 {
            let node = match end {
                End::Left => self.nodes.front(),
                End::Right => self.nodes.back(),
            };
            let Some(node) = node else { return };
            if node.elements.len() > left {
                self.pop(end);
                left -= 1;
                continue;
            }
            left -= node.elements.len();
            self.len -= node.elements.len();
            self.bytes -= node.bytes;
            match end {
                End::Left => self.nodes.pop_front(),
                End::Right => self.nodes.pop_back(),
            };
        }
    }

    /// Frees whole nodes until `count` elements are gone: how many went.
    pub(crate) fn crumble(&mut self, count: usize) -> usize {
        let mut freed = 0;
        while freed < count
            && let Some(node) = self.nodes.pop_back()
        {
            freed += node.elements.len();
        }
        self.len -= freed;
        freed
    }

    /// The elements from `start` on.
    pub fn iter_from(&self, start: usize) -> impl Iterator<Item = &[u8]> {
        let (node, place) =
            if start < self.len { self.locate(start) } else { (self.nodes.len(), 0) };
        let first = self.nodes.get(node).into_iter().flat_map(move |n| n.elements.range(place..));
        let rest = self.nodes.iter().skip(node + 1).flat_map(|node| node.elements.iter());
        first.chain(rest).map(|element| &**element)
    }

    /// Every element, from either end.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.nodes.iter().flat_map(|node| node.elements.iter()).map(|element| &**element)
    }

    /// The elements node by node, as the file format stores them.
    pub fn nodes(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = &[u8]>> {
        self.nodes.iter().map(|node| node.elements.iter().map(|element| &**element))
    }

    /// How many nodes it has.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }
}

/// Whether an element stays while equal ones are taken out.
fn keep_other(kept: &[u8], element: &[u8], left: &mut usize) -> bool {
    let goes = *left > 0 && *kept == *element;
    *left -= usize::from(goes);
    !goes
}

/// Lists are equal when their elements are, wherever the borders of their nodes lie.
impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests;
