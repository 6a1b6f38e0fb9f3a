//! The store, shared: one lock, one signal that something changed.
//!
//! Every part of the embedded Kubernetes reads and writes through here: the HTTP skin, the
//! StatefulSet controller, the kubelet. A write also collects garbage, so that nobody sees an
//! orphan for long. Not known here: who asks, and what for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_api_store::ApiStore;
use tokio::sync::watch;

/// A handle on the store; clones share it.
#[derive(Clone, Debug)]
pub struct Api {
    store: Arc<Mutex<ApiStore>>,
    changed: watch::Sender<u64>,
}

impl Api {
    /// Shares a store.
    pub fn new(store: ApiStore) -> Self {
        let (changed, _) = watch::channel(store.revision());
        Self { store: Arc::new(Mutex::new(store)), changed }
    }

    /// Looks at the store.
    pub fn read<T>(&self, look: impl FnOnce(&ApiStore) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the store; the second argument is the time, milliseconds since 1970.
    pub fn write<T>(&self, change: impl FnOnce(&mut ApiStore, i64) -> T) -> T {
        let mut store = self.lock();
        let now_ms = now_ms();
        let answer = change(&mut store, now_ms);
        store.collect_garbage(now_ms);
        let revision = store.revision();
        self.changed.send_if_modified(|seen| std::mem::replace(seen, revision) != revision);
        answer
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A panic under the lock leaves the store between two whole changes, which is as good.
    fn lock(&self) -> MutexGuard<'_, ApiStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
