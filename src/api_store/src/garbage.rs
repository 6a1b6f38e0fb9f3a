//! The garbage collector and the end of namespaces.
//!
//! An object whose owners are all gone is deleted. An owner that is deleted in the foreground
//! waits for its dependents that block it. A terminating namespace is emptied, then removed.
//! It runs when it is called, not by itself, so that a simulation can delay it. Not known here:
//! owners in other namespaces, which Kubernetes does not allow either.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::object::{self, text};
use crate::resource::TypeId;
use crate::store::{ApiStore, Context, DeleteOptions, Propagation, Target};

const FOREGROUND: &str = "foregroundDeletion";

impl ApiStore {
    /// Deletes what nobody owns any more; true when something changed.
    pub fn collect_garbage(&mut self, now_ms: i64) -> bool {
        let context = Context::new(now_ms, "garbage-collector");
        let start = self.revision();
        while self.take_garbage_due() {
            let before = self.revision();
            self.delete_ownerless(&context);
            self.finish_foreground(&context);
            self.finish_namespaces(&context);
            if self.revision() == before {
                break;
            }
        }
        self.revision() != start
    }

    fn snapshot(&self) -> Vec<(TypeId, Arc<Value>)> {
        self.everything().map(|(of, object)| (of.clone(), object.clone())).collect()
    }

    fn delete_one(&mut self, of: &TypeId, object: &Value, context: &Context<'_>) {
        let target = Target::new(of, object::namespace(object), object::name(object));
        let options =
            DeleteOptions { uid: object::uid(object).to_owned(), ..DeleteOptions::default() };
        // A conflict or an absence means that the object changed meanwhile: the next round sees.
        let _ = self.delete(&target, &options, context);
    }

    fn delete_ownerless(&mut self, context: &Context<'_>) {
        let all = self.snapshot();
        let alive: BTreeSet<&str> = all.iter().map(|(_, object)| object::uid(object)).collect();
        for (of, object) in &all {
            let owners = object::items(object, &["metadata", "ownerReferences"]);
            let orphaned = !owners.is_empty()
                && owners.iter().all(|reference| !alive.contains(text(reference, &["uid"])));
            if orphaned && !object::is_terminating(object) {
                self.delete_one(of, object, context);
            }
        }
    }

    fn finish_foreground(&mut self, context: &Context<'_>) {
        let all = self.snapshot();
        let waiting = all.iter().filter(|(_, object)| {
            let finalizers = object::items(object, &["metadata", "finalizers"]);
            object::is_terminating(object) && finalizers.iter().any(|one| one == FOREGROUND)
        });
        for (of, owner) in waiting {
            let mut blocked = false;
            for (dependent_of, dependent) in &all {
                let reference = crate::store::owner_reference(dependent, object::uid(owner));
                let Some(reference) = reference else { continue };
                blocked |= reference.get("blockOwnerDeletion") == Some(&Value::Bool(true));
                if !object::is_terminating(dependent) {
                    let target = Target::new(
                        dependent_of,
                        object::namespace(dependent),
                        object::name(dependent),
                    );
                    let propagation = Propagation::Foreground;
                    let options = DeleteOptions { propagation, ..DeleteOptions::default() };
                    let _ = self.delete(&target, &options, context);
                }
            }
            if !blocked {
                self.remove_finalizer(of, owner);
            }
        }
    }

    fn remove_finalizer(&mut self, of: &TypeId, owner: &Value) {
        let rest: Vec<Value> = object::items(owner, &["metadata", "finalizers"])
            .iter()
            .filter(|one| *one != FOREGROUND)
            .cloned()
            .collect();
        if rest.is_empty() && object::text(owner, &["spec", "nodeName"]).is_empty() {
            self.drop_object(of, object::namespace(owner), object::name(owner));
        } else {
            let mut changed = owner.clone();
            object::set(&mut changed, &["metadata", "finalizers"], rest.into());
            self.put_back(of, changed);
        }
    }

    fn finish_namespaces(&mut self, context: &Context<'_>) {
        let namespaces = TypeId::new("", "namespaces");
        let terminating: Vec<String> = self
            .all(&namespaces)
            .filter(|namespace| object::is_terminating(namespace))
            .map(|namespace| object::name(namespace).to_owned())
            .collect();
        for name in terminating {
            let content: Vec<(TypeId, Arc<Value>)> = self
                .snapshot()
                .into_iter()
                .filter(|(_, object)| object::namespace(object) == name)
                .collect();
            if content.is_empty() {
                self.drop_object(&namespaces, "", &name);
            }
            for (of, object) in content {
                if !object::is_terminating(&object) {
                    self.delete_one(&of, &object, context);
                }
            }
        }
    }
}
