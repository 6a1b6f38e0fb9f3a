//! Sets of fields: what a manager owns, in the format of `managedFields`.
//!
//! A set is a tree along the object. A node that is a member stands for "this field"; its
//! children stand for fields below it.
//!
//! ```text
//!   f:spec                      not a member: nobody owns the whole of spec
//!     f:shards                  member
//!     f:containers
//!       k:{"name":"node"}       member (written as "."): the item itself
//!         f:image               member
//! ```
//!
//! Invariant: a node is a member or has children, or both; the empty set is an empty root.
//! Not known here: managers, conflicts and times.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::lists::{ListKind, is_atomic_map, item_key, list_kind};
use crate::resource::ResourceType;

/// A step from a value to a value in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A key of a map.
    Field(String),
    /// An item of a keyed list: its key fields as canonical JSON.
    Key(String),
    /// An item of a set: the value as canonical JSON.
    Item(String),
}

impl Element {
    fn to_wire(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(key) => format!("k:{key}"),
            Self::Item(value) => format!("v:{value}"),
        }
    }

    fn from_wire(text: &str) -> Option<Self> {
        let (tag, rest) = text.split_once(':')?;
        match tag {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => Some(Self::Key(canonical(rest)?)),
            "v" => Some(Self::Item(canonical(rest)?)),
            _ => None,
        }
    }
}

fn canonical(json: &str) -> Option<String> {
    serde_json::from_str::<Value>(json).ok().map(|value| value.to_string())
}

/// A path, printed as `.spec.containers[name="node"].image`.
pub type Path = Vec<Element>;

/// Prints a path as conflicts show it.
pub fn print_path(path: &[Element]) -> String {
    let mut out = String::new();
    for element in path {
        match element {
            Element::Field(name) => {
                out.push('.');
                out.push_str(name);
            }
            Element::Key(key) => {
                let parsed: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
                let parts: Vec<String> = parsed.iter().map(|(k, v)| format!("{k}={v}")).collect();
                out.push_str(&format!("[{}]", parts.join(",")));
            }
            Element::Item(value) => out.push_str(&format!("[={value}]")),
        }
    }
    out
}

/// A set of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// True when the path that leads here is itself in the set.
    pub member: bool,
    /// What is in the set below this path.
    pub children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Every field of `value`, which stands at `path` (map keys) in an object of this type.
    pub fn of(value: &Value, of: &ResourceType, path: &[&str]) -> Self {
        let mut set = Self::default();
        match value {
            Value::Object(map) if !map.is_empty() && !is_atomic_map(of, path) => {
                for (key, below) in map {
                    let child = Self::of(below, of, &join(path, key));
                    set.children.insert(Element::Field(key.clone()), child);
                }
            }
            Value::Array(list) if !list.is_empty() => match list_kind(of, path) {
                ListKind::Atomic => set.member = true,
                kind => {
                    for item in list {
                        let (element, mut child) = Self::of_item(item, &kind, of, path);
                        child.member = true;
                        set.children.insert(element, child);
                    }
                }
            },
            // The object itself is owned by nobody, even when nothing is in it.
            _ => set.member = !path.is_empty(),
        }
        set
    }

    fn of_item(item: &Value, kind: &ListKind, of: &ResourceType, path: &[&str]) -> (Element, Self) {
        match element_of(item, kind) {
            element @ Element::Key(_) => (element, Self::of(item, of, path)),
            element => (element, Self::default()),
        }
    }

    /// In either.
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.absorb(other);
        out
    }

    /// Adds all of `other`.
    pub fn absorb(&mut self, other: &Self) {
        self.member |= other.member;
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().absorb(child);
        }
    }

    /// In this and not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && !theirs, true)
    }

    /// In both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && theirs, false)
    }

    fn combine(&self, other: &Self, keep: fn(bool, bool) -> bool, keep_alone: bool) -> Self {
        let mut out = Self { member: keep(self.member, other.member), children: BTreeMap::new() };
        for (element, child) in &self.children {
            let combined = match other.children.get(element) {
                Some(theirs) => child.combine(theirs, keep, keep_alone),
                None if keep_alone => child.clone(),
                None => Self::default(),
            };
            if !combined.is_empty() {
                out.children.insert(element.clone(), combined);
            }
        }
        out
    }

    /// All members as paths, in order.
    pub fn paths(&self) -> Vec<Path> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, here: &mut Path, out: &mut Vec<Path>) {
        if self.member {
            out.push(here.clone());
        }
        for (element, child) in &self.children {
            here.push(element.clone());
            child.collect(here, out);
            here.pop();
        }
    }

    /// As `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            map.insert(element.to_wire(), child.to_json());
        }
        Value::Object(map)
    }

    /// Reads `fieldsV1`; what cannot be read is left out.
    pub fn from_json(value: &Value) -> Self {
        let mut set = Self::default();
        for (key, below) in value.as_object().into_iter().flatten() {
            if key == "." {
                set.member = true;
            } else if let Some(element) = Element::from_wire(key) {
                let mut child = Self::from_json(below);
                child.member |= child.children.is_empty();
                set.children.insert(element, child);
            }
        }
        set
    }
}

/// How an item of a list that is not atomic is named.
pub fn element_of(item: &Value, kind: &ListKind) -> Element {
    match kind {
        ListKind::Map(keys) => match item_key(item, keys) {
            Some(key) => Element::Key(key.to_string()),
            None => Element::Item(item.to_string()),
        },
        _ => Element::Item(item.to_string()),
    }
}

/// A path of map keys, one longer.
pub fn join<'a>(path: &[&'a str], key: &'a str) -> Vec<&'a str> {
    let mut longer = path.to_vec();
    longer.push(key);
    longer
}

/// What differs between two versions of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Added or modified.
    pub changed: FieldSet,
    /// There before, and not any more.
    pub removed: FieldSet,
}

/// Compares two versions; `path` is where they stand.
pub fn difference(old: &Value, new: &Value, of: &ResourceType, path: &[&str]) -> Difference {
    let mut out = Difference::default();
    if old == new {
        return out;
    }
    match (old, new) {
        (Value::Object(before), Value::Object(after)) if !is_atomic_map(of, path) => {
            compare_maps(before, after, of, path, &mut out);
        }
        (Value::Array(before), Value::Array(after)) if list_kind(of, path) != ListKind::Atomic => {
            compare_lists(before, after, of, path, &mut out);
        }
        _ => {
            out.changed = FieldSet::of(new, of, path);
            out.removed = FieldSet::of(old, of, path).difference(&out.changed);
        }
    }
    out
}

fn compare_maps(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    of: &ResourceType,
    path: &[&str],
    out: &mut Difference,
) {
    for (key, new) in after {
        let below = join(path, key);
        let element = Element::Field(key.clone());
        match before.get(key) {
            Some(old) => out.put(element, difference(old, new, of, &below)),
            None => put(&mut out.changed, element, FieldSet::of(new, of, &below)),
        }
    }
    for (key, old) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
        let gone = FieldSet::of(old, of, &join(path, key));
        put(&mut out.removed, Element::Field(key.clone()), gone);
    }
}

fn compare_lists(
    before: &[Value],
    after: &[Value],
    of: &ResourceType,
    path: &[&str],
    out: &mut Difference,
) {
    let kind = list_kind(of, path);
    let old_items: BTreeMap<Element, &Value> =
        before.iter().map(|item| (element_of(item, &kind), item)).collect();
    let new_items: BTreeMap<Element, &Value> =
        after.iter().map(|item| (element_of(item, &kind), item)).collect();
    let whole = |element: &Element, item: &Value| {
        let mut set = match element {
            Element::Key(_) => FieldSet::of(item, of, path),
            _ => FieldSet::default(),
        };
        set.member = true;
        set
    };
    for (element, new) in &new_items {
        match old_items.get(element) {
            Some(old) => out.put(element.clone(), difference(old, new, of, path)),
            None => put(&mut out.changed, element.clone(), whole(element, new)),
        }
    }
    for (element, old) in old_items.iter().filter(|(e, _)| !new_items.contains_key(*e)) {
        put(&mut out.removed, element.clone(), whole(element, old));
    }
}

impl Difference {
    fn put(&mut self, element: Element, below: Difference) {
        put(&mut self.changed, element.clone(), below.changed);
        put(&mut self.removed, element, below.removed);
    }

    /// True when nothing differs in a field that counts.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

fn put(set: &mut FieldSet, element: Element, below: FieldSet) {
    if !below.is_empty() {
        set.children.insert(element, below);
    }
}
