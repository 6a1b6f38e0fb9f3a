//! Deletion: at once, with grace, or held by finalizers.
//!
//! A pod that runs gets a deletionTimestamp and waits for its kubelet, which deletes it again
//! with grace 0. An object with finalizers waits until the last is removed. A namespace waits
//! until it is empty (`garbage.rs`). Not known here: who removes finalizers.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{ApiStore, Context, ListOptions, Target, not_found};
use crate::failure::Failure;
use crate::object::{self, set, text};
use crate::resource::{ResourceType, TypeId};

/// What becomes of the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They are deleted after it.
    #[default]
    Background,
    /// They are deleted before it.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// How to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds of grace; the object's own default when absent.
    pub grace_seconds: Option<i64>,
    /// What becomes of dependents.
    pub propagation: Propagation,
    /// Only when the uid is this one; empty for any.
    pub uid: String,
    /// Only when the version is this one; empty for any.
    pub resource_version: String,
}

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

impl ApiStore {
    /// Deletes an object or begins to; returns it as it stands after the request.
    pub fn delete(
        &mut self,
        target: &Target,
        options: &DeleteOptions,
        context: &Context<'_>,
    ) -> Result<Arc<Value>, Failure> {
        let of = self.type_of(&target.of)?;
        let live = self.find(target).cloned().ok_or_else(|| not_found(&of, &target.name))?;
        check_preconditions(&of, &live, options)?;
        if context.dry_run {
            return Ok(live);
        }
        if options.propagation == Propagation::Orphan {
            self.orphan_dependents(object::uid(&live));
        }
        let mut object = (*live).clone();
        if options.propagation == Propagation::Foreground {
            add_finalizer(&mut object, FOREGROUND);
        }
        let grace = grace_of(&of, &object, options);
        let held = !object::items(&object, &["metadata", "finalizers"]).is_empty()
            || (of.kind == "Namespace" && self.has_content(object::name(&object)));
        if grace == 0 && !held {
            self.drop_object(&target.of, &target.namespace, &target.name);
            return Ok(live);
        }
        mark(&of, &mut object, grace, context.now_ms);
        if object == *live {
            return Ok(live);
        }
        Ok(self.commit(&target.of, object))
    }

    /// Deletes every object that a list would show.
    pub fn delete_collection(
        &mut self,
        of: &TypeId,
        namespace: Option<&str>,
        list: &ListOptions,
        options: &DeleteOptions,
        context: &Context<'_>,
    ) -> Result<Vec<Arc<Value>>, Failure> {
        let listing = self.list(of, namespace, list)?;
        let mut gone = Vec::new();
        for object in listing.items {
            let (namespace, name) = (object::namespace(&object), object::name(&object));
            gone.push(self.delete(&Target::new(of, namespace, name), options, context)?);
        }
        Ok(gone)
    }

    fn orphan_dependents(&mut self, uid: &str) {
        let dependents: Vec<(TypeId, Arc<Value>)> = self
            .everything()
            .filter(|(_, object)| owner(object, uid).is_some())
            .map(|(of, object)| (of.clone(), object.clone()))
            .collect();
        for (of, object) in dependents {
            let mut freed = (*object).clone();
            let kept: Vec<Value> = object::items(&object, &["metadata", "ownerReferences"])
                .iter()
                .filter(|reference| text(reference, &["uid"]) != uid)
                .cloned()
                .collect();
            if kept.is_empty() {
                object::remove(&mut freed, &["metadata", "ownerReferences"]);
            } else {
                set(&mut freed, &["metadata", "ownerReferences"], kept.into());
            }
            self.commit(&of, freed);
        }
    }

    fn has_content(&self, namespace: &str) -> bool {
        self.everything().any(|(_, object)| object::namespace(object) == namespace)
    }

    /// Writes an object that the collector has changed.
    pub(crate) fn put_back(&mut self, of: &TypeId, object: Value) {
        self.commit(of, object);
    }

    /// True once since the last call when something may have become garbage.
    pub(crate) fn take_garbage_due(&mut self) -> bool {
        std::mem::take(&mut self.garbage_due)
    }
}

/// The reference to the owner with this uid.
pub(crate) fn owner<'a>(object: &'a Value, uid: &str) -> Option<&'a Value> {
    object::items(object, &["metadata", "ownerReferences"])
        .iter()
        .find(|reference| text(reference, &["uid"]) == uid)
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let mut all = object::items(object, &["metadata", "finalizers"]).to_vec();
    if !all.iter().any(|one| one == finalizer) {
        all.push(finalizer.into());
        all.retain(|one| one != ORPHAN);
        set(object, &["metadata", "finalizers"], all.into());
    }
}

/// Only pods that a kubelet has taken have grace; everything else goes at once.
fn grace_of(of: &ResourceType, object: &Value, options: &DeleteOptions) -> i64 {
    let taken = !text(object, &["spec", "nodeName"]).is_empty();
    let phase = text(object, &["status", "phase"]);
    if of.kind != "Pod" || !taken || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let own = object::integer(object, &["spec", "terminationGracePeriodSeconds"]).unwrap_or(30);
    let wished = options.grace_seconds.unwrap_or(own).max(0);
    // A deletion that runs may be shortened, never prolonged.
    match object::integer(object, &["metadata", "deletionGracePeriodSeconds"]) {
        Some(running) => running.min(wished),
        None => wished,
    }
}

fn mark(of: &ResourceType, object: &mut Value, grace: i64, now_ms: i64) {
    let running = object::integer(object, &["metadata", "deletionGracePeriodSeconds"]);
    if running != Some(grace) || !object::is_terminating(object) {
        let at = object::rfc3339(now_ms + grace * 1000);
        set(object, &["metadata", "deletionTimestamp"], at.into());
        set(object, &["metadata", "deletionGracePeriodSeconds"], json!(grace));
        if of.generation {
            let generation = object::integer(object, &["metadata", "generation"]).unwrap_or(0);
            set(object, &["metadata", "generation"], json!(generation + 1));
        }
    }
    if of.kind == "Namespace" {
        set(object, &["status", "phase"], "Terminating".into());
    }
}

fn check_preconditions(
    of: &ResourceType,
    live: &Value,
    options: &DeleteOptions,
) -> Result<(), Failure> {
    let checks = [
        ("UID", options.uid.as_str(), object::uid(live)),
        (
            "ResourceVersion",
            options.resource_version.as_str(),
            text(live, &["metadata", "resourceVersion"]),
        ),
    ];
    for (what, wanted, is) in checks {
        if !wanted.is_empty() && wanted != is {
            return Err(Failure::Conflict {
                resource: of.qualified_plural(),
                name: object::name(live).to_owned(),
                message: format!(
                    "Precondition failed: {what} in precondition: {wanted}, {what} in object \
                     meta: {is}"
                ),
            });
        }
    }
    Ok(())
}
