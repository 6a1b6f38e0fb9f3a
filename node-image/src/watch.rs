//! WATCH: which client looks at which key.
//!
//! Not known here: what a transaction does when a watched key was touched.

use std::collections::HashMap;

use crate::clients::{ClientId, Clients};

/// Who watches what.
#[derive(Debug, Default)]
pub struct Watched {
    keys: HashMap<(usize, Vec<u8>), Vec<ClientId>>,
}

impl Watched {
    /// The client watches a key.
    pub fn add(&mut self, id: ClientId, db: usize, key: &[u8]) {
        let watchers = self.keys.entry((db, key.to_vec())).or_default();
        if !watchers.contains(&id) {
            watchers.push(id);
        }
    }

    /// The client no longer watches these.
    pub fn remove(&mut self, id: ClientId, watching: &[(usize, Vec<u8>)]) {
        for key in watching {
            if let Some(watchers) = self.keys.get_mut(key) {
                watchers.retain(|watcher| *watcher != id);
                if watchers.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
    }

    /// The key was touched.
    pub fn touched(&mut self, db: usize, key: &[u8], clients: &mut Clients) {
        if self.keys.is_empty() {
            return;
        }
        let Some(watchers) = self.keys.get(&(db, key.to_vec())) else { return };
        for id in watchers {
            if let Some(client) = clients.get_mut(*id) {
                client.watch_failed = true;
            }
        }
    }

    /// The watched keys of a database (of all: `None`).
    pub fn keys(&self, db: Option<usize>) -> Vec<(usize, Vec<u8>)> {
        self.keys.keys().filter(|(of, _)| db.is_none_or(|db| db == *of)).cloned().collect()
    }
}
