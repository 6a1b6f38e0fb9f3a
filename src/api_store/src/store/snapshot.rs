//! Saving and restoring a whole store, for those who want it to outlive a process.
//!
//! The history of changes is not saved: watchers of the old store are told to list again. Not
//! known here: files.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ApiStore;
use crate::object::{self, integer, items, text};
use crate::resource::TypeId;
use crate::watch::Log;

impl ApiStore {
    /// Everything that a later process needs to go on.
    pub fn save(&self) -> Value {
        let objects: Vec<Value> = self
            .everything()
            .map(|(of, object)| {
                json!({"group": of.group, "plural": of.plural, "object": object.as_ref()})
            })
            .collect();
        json!({"revision": self.revision, "objects": objects})
    }

    /// Replaces the objects by saved ones. Give rules and schemas before.
    pub fn restore(&mut self, saved: &Value, now_ms: i64) {
        self.objects.clear();
        for entry in items(saved, &["objects"]) {
            let of = TypeId::new(text(entry, &["group"]), text(entry, &["plural"]));
            let Some(object) = entry.get("object") else { continue };
            if of.plural == "customresourcedefinitions" {
                self.serve_crd(object, now_ms);
            }
            let key = (object::namespace(object).to_owned(), object::name(object).to_owned());
            self.objects.entry(of).or_default().insert(key, Arc::new(object.clone()));
        }
        let saved_revision = integer(saved, &["revision"]).unwrap_or(0).unsigned_abs();
        self.revision = self.revision.max(saved_revision);
        self.log = Log::starting_at(self.revision);
        self.garbage_due = true;
    }
}
