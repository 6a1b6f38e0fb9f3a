//! What one field's schema cannot say: rules over several fields, and over old and new.
//!
//! Each rule is one row: its CEL text for the API server, its message, and the same predicate in
//! Rust for the embedded API and for the operator. CEL's way is kept: a rule that names `oldSelf`
//! is a transition rule and is asked only on an update.

use super::spec::{PersistenceMode, RedisCluster};

/// Where in the schema the CEL text stands, that is what `self` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole object.
    Object,
    /// `spec`.
    Spec,
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What `self` is in the CEL text.
    pub scope: Scope,
    /// The CEL text.
    pub cel: &'static str,
    /// What the user reads when it does not hold.
    pub message: &'static str,
    /// The field to blame, relative to the scope, as CEL's `fieldPath` wants it.
    pub field_path: Option<&'static str>,
    /// The whole path of the field to blame.
    pub path: &'static str,
    /// The same as the CEL text: new object, old object (`None` at creation; a transition rule
    /// then holds).
    pub holds: fn(&RedisCluster, Option<&RedisCluster>) -> bool,
}

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        scope: Scope::Object,
        cel: "size(self.metadata.name) <= 40",
        message: "a cluster's name has at most 40 characters, since pods and services are named after it",
        field_path: None,
        path: "metadata.name",
        holds: |new, _| new.metadata.name.as_deref().unwrap_or_default().chars().count() <= 40,
    },
    Rule {
        scope: Scope::Spec,
        cel: "!has(self.persistence) || !has(self.persistence.mode) || \
              self.persistence.mode == 'none' || has(self.storage)",
        message: "persistence needs storage",
        field_path: Some(".persistence.mode"),
        path: "spec.persistence.mode",
        holds: |new, _| {
            new.spec.persistence.mode == PersistenceMode::None || new.spec.storage.is_some()
        },
    },
    Rule {
        scope: Scope::Spec,
        cel: "has(self.storage) == has(oldSelf.storage)",
        message: "storage cannot be added to or removed from a cluster that exists",
        field_path: None,
        path: "spec.storage",
        holds: |new, old| {
            old.is_none_or(|old| new.spec.storage.is_some() == old.spec.storage.is_some())
        },
    },
    Rule {
        scope: Scope::Spec,
        cel: "!has(self.storage) || !has(oldSelf.storage) || \
              self.storage.size == oldSelf.storage.size",
        message: "the size of the volumes cannot be changed yet",
        field_path: Some(".storage.size"),
        path: "spec.storage.size",
        holds: |new, old| both_storages(new, old).is_none_or(|(new, old)| new.size == old.size),
    },
    Rule {
        scope: Scope::Spec,
        cel: "!has(self.storage) || !has(oldSelf.storage) || \
              (has(self.storage.storageClassName) == has(oldSelf.storage.storageClassName) && \
              (!has(self.storage.storageClassName) || \
              self.storage.storageClassName == oldSelf.storage.storageClassName))",
        message: "the StorageClass cannot be changed",
        field_path: Some(".storage.storageClassName"),
        path: "spec.storage.storageClassName",
        holds: |new, old| {
            both_storages(new, old)
                .is_none_or(|(new, old)| new.storage_class_name == old.storage_class_name)
        },
    },
    Rule {
        scope: Scope::Spec,
        cel: "!has(self.scaleIn) || !has(self.scaleIn.maxStep) || self.scaleIn.maxStep == 0 || \
              oldSelf.shards - self.shards <= self.scaleIn.maxStep",
        message: "more shards are removed at once than scaleIn.maxStep allows",
        field_path: Some(".shards"),
        path: "spec.shards",
        holds: |new, old| {
            old.is_none_or(|old| {
                new.spec.scale_in.max_step == 0
                    || old.spec.shards.saturating_sub(new.spec.shards) <= new.spec.scale_in.max_step
            })
        },
    },
];

type Storages<'a> = (&'a super::spec::Storage, &'a super::spec::Storage);

fn both_storages<'a>(new: &'a RedisCluster, old: Option<&'a RedisCluster>) -> Option<Storages<'a>> {
    Some((new.spec.storage.as_ref()?, old?.spec.storage.as_ref()?))
}

/// The rules that do not hold for this change, in the order of the table.
pub fn violated_rules(
    new: &RedisCluster,
    old: Option<&RedisCluster>,
) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| !(rule.holds)(new, old))
}

#[cfg(test)]
mod tests;
