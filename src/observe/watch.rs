//! What the API server has told us about the objects of clusters, kept up to date by watches.
//!
//! A look at a quiet cluster therefore costs the API server nothing, and a change wakes the
//! cluster within the time that the event needs to get here. The copy may lag behind: whatever
//! destroys something names a uid, and is refused when the object is no longer the one that was
//! seen. Secrets are not among the kinds here; they are read by name (`kube.rs`).
//!
//!   watch of a kind ──event──> shelf (cluster -> name -> object) ──> wake the cluster
//!
//! A list after a broken watch replaces a shelf in one go, so that nobody ever sees half of it.
//! Not known here: what the objects mean.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_stream};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::reading;
use crate::api::{LABEL_CLUSTER, RedisCluster};
use crate::validate::InvalidSpec;

/// Which cluster: namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The objects of one kind, by cluster and name.
pub struct Shelf<K> {
    held: Mutex<Held<K>>,
}

struct Held<K> {
    current: BTreeMap<ClusterKey, BTreeMap<String, Arc<K>>>,
    /// The list that is being received; it replaces `current` when it is complete.
    incoming: BTreeMap<ClusterKey, BTreeMap<String, Arc<K>>>,
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        let held = Held { current: BTreeMap::new(), incoming: BTreeMap::new() };
        Self { held: Mutex::new(held) }
    }
}

impl<K> Shelf<K> {
    /// All objects of a cluster, ordered by name.
    pub fn of(&self, cluster: &ClusterKey) -> Vec<Arc<K>> {
        let held = self.lock();
        held.current.get(cluster).map(|by| by.values().cloned().collect()).unwrap_or_default()
    }

    /// One object of a cluster.
    pub fn get(&self, cluster: &ClusterKey, name: &str) -> Option<Arc<K>> {
        self.lock().current.get(cluster)?.get(name).cloned()
    }

    /// Clusters that have an object here.
    pub fn clusters(&self) -> Vec<ClusterKey> {
        self.lock().current.keys().cloned().collect()
    }

    /// Puts an object here that the API server has just answered with.
    pub fn put(&self, cluster: &ClusterKey, object: K)
    where
        K: ResourceExt,
    {
        let mut held = self.lock();
        let by_name = held.current.entry(cluster.clone()).or_default();
        keep_newer(by_name, object);
    }

    /// Takes in an event, and gives the clusters that it concerns.
    fn take_in(&self, event: Event<K>, key_of: impl Fn(&K) -> Option<ClusterKey>) -> Vec<ClusterKey>
    where
        K: ResourceExt,
    {
        let mut held = self.lock();
        match event {
            Event::Apply(object) => {
                let Some(key) = key_of(&object) else { return Vec::new() };
                let is_news = keep_newer(held.current.entry(key.clone()).or_default(), object);
                if is_news { vec![key] } else { Vec::new() }
            }
            Event::Delete(object) => {
                let Some(key) = key_of(&object) else { return Vec::new() };
                if let Some(by_name) = held.current.get_mut(&key) {
                    by_name.remove(&object.name_any());
                    if by_name.is_empty() {
                        held.current.remove(&key);
                    }
                }
                vec![key]
            }
            Event::Init => {
                held.incoming.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                if let Some(key) = key_of(&object) {
                    let name = object.name_any();
                    held.incoming.entry(key).or_default().insert(name, Arc::new(object));
                }
                Vec::new()
            }
            Event::InitDone => {
                let before = std::mem::take(&mut held.current);
                held.current = std::mem::take(&mut held.incoming);
                let mut keys: Vec<_> = before.into_keys().collect();
                keys.extend(held.current.keys().cloned());
                keys.sort();
                keys.dedup();
                keys
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event may be older than what we have put here ourselves, or be the echo of it; then it is no
/// news, and the answer is false. Versions of one resource can be compared as numbers; where they
/// are none, the last word counts.
fn keep_newer<K: ResourceExt>(by_name: &mut BTreeMap<String, Arc<K>>, object: K) -> bool {
    let version = |o: &K| o.resource_version().and_then(|v| v.parse::<u64>().ok());
    let name = object.name_any();
    let known = by_name.get(&name).is_some_and(|held| {
        let told = version(&object);
        held.uid() == object.uid() && told.is_some() && version(held) >= told
    });
    if !known {
        by_name.insert(name, Arc::new(object));
    }
    !known
}

/// Everything that is watched.
#[derive(Default)]
pub struct Shelves {
    /// The objects that users write.
    pub clusters: Shelf<RedisCluster>,
    /// Of those, which cannot be read, and where.
    faults: Mutex<BTreeMap<ClusterKey, InvalidSpec>>,
    /// StatefulSets of clusters.
    pub stateful_sets: Shelf<StatefulSet>,
    /// Pods of clusters.
    pub pods: Shelf<Pod>,
    /// The last that was known of pods that are gone, by cluster and uid.
    pub ended_pods: Mutex<BTreeMap<ClusterKey, Vec<Arc<Pod>>>>,
    /// Services of clusters.
    pub services: Shelf<Service>,
    /// ConfigMaps of clusters.
    pub config_maps: Shelf<ConfigMap>,
    /// ServiceAccounts of clusters.
    pub accounts: Shelf<ServiceAccount>,
    /// PodDisruptionBudgets of clusters.
    pub budgets: Shelf<PodDisruptionBudget>,
    /// Volume claims of clusters.
    pub volumes: Shelf<PersistentVolumeClaim>,
}

/// Pods that are gone and still remembered, per cluster.
const ENDED_PODS_MAX: usize = 64;

impl Shelves {
    /// The field by which an object cannot be read; its spec on the shelf is a blank.
    pub fn fault_of(&self, key: &ClusterKey) -> Option<InvalidSpec> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn note_fault(&self, key: ClusterKey, fault: Option<InvalidSpec>) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Some(fault) => faults.insert(key, fault),
            None => faults.remove(&key),
        };
    }

    fn remember_ended(&self, key: &ClusterKey, pod: Pod) {
        let mut ended = self.ended_pods.lock().unwrap_or_else(PoisonError::into_inner);
        let pods = ended.entry(key.clone()).or_default();
        pods.push(Arc::new(pod));
        let surplus = pods.len().saturating_sub(ENDED_PODS_MAX);
        pods.drain(..surplus);
    }

    /// Takes the pods of a cluster that have gone since this was last asked.
    pub fn take_ended(&self, key: &ClusterKey) -> Vec<Arc<Pod>> {
        let mut ended = self.ended_pods.lock().unwrap_or_else(PoisonError::into_inner);
        ended.remove(key).unwrap_or_default()
    }
}

/// Starts all watches of one namespace, or of all, and gives what tells that the first lists are
/// complete. The watches end when the tasks in `tasks` are dropped.
pub fn start(
    client: &Client,
    namespace: Option<&str>,
    shelves: &Arc<Shelves>,
    wake: &UnboundedSender<ClusterKey>,
    tasks: &mut tokio::task::JoinSet<()>,
) -> Vec<watch::Receiver<bool>> {
    let watching = Watching { client, namespace, shelves, wake };
    vec![
        watching.clusters(tasks),
        watching.objects(tasks, |s| &s.stateful_sets),
        watching.objects_then(tasks, |s| &s.pods, |s, key, pod| s.remember_ended(key, pod)),
        watching.objects(tasks, |s| &s.services),
        watching.objects(tasks, |s| &s.config_maps),
        watching.objects(tasks, |s| &s.accounts),
        watching.objects(tasks, |s| &s.budgets),
        watching.objects(tasks, |s| &s.volumes),
    ]
}

struct Watching<'a> {
    client: &'a Client,
    namespace: Option<&'a str>,
    shelves: &'a Arc<Shelves>,
    wake: &'a UnboundedSender<ClusterKey>,
}

impl Watching<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn objects<K>(
        &self,
        tasks: &mut tokio::task::JoinSet<()>,
        shelf: fn(&Shelves) -> &Shelf<K>,
    ) -> watch::Receiver<bool>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.objects_then(tasks, shelf, |_, _, _| ())
    }

    /// Watches a kind whose objects carry the cluster's name in a label.
    fn objects_then<K>(
        &self,
        tasks: &mut tokio::task::JoinSet<()>,
        shelf: fn(&Shelves) -> &Shelf<K>,
        when_gone: fn(&Shelves, &ClusterKey, K),
    ) -> watch::Receiver<bool>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (complete, is_complete) = watch::channel(false);
        let (shelves, wake) = (Arc::clone(self.shelves), self.wake.clone());
        let config = watcher::Config::default().labels(LABEL_CLUSTER);
        let api = self.api::<K>();
        tasks.spawn(async move {
            let mut events = watch_stream(api, config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => event.modify(|o| o.managed_fields_mut().clear()),
                    Err(e) => {
                        let kind = K::kind(&());
                        tracing::warn!(%kind, error = %e, "A watch broke and is started anew.");
                        continue;
                    }
                };
                if let Event::Delete(object) = &event
                    && let Some(key) = by_label(object)
                {
                    when_gone(&shelves, &key, object.clone());
                }
                let listed = matches!(event, Event::InitDone);
                for key in shelf(&shelves).take_in(event, by_label) {
                    // The receiver is gone only when the operator ends.
                    let _ = wake.send(key);
                }
                if listed {
                    complete.send_replace(true);
                }
            }
        });
        is_complete
    }

    /// Watches RedisClusters. An object that cannot be read must not hide the others.
    fn clusters(&self, tasks: &mut tokio::task::JoinSet<()>) -> watch::Receiver<bool> {
        let (complete, is_complete) = watch::channel(false);
        let (shelves, wake) = (Arc::clone(self.shelves), self.wake.clone());
        let resource = ApiResource::erase::<RedisCluster>(&());
        let api: Api<DynamicObject> = match self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        tasks.spawn(async move {
            let config = watcher::Config::default();
            let mut events = watch_stream(api, config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(e) => {
                        tracing::warn!(
                            kind = "RedisCluster",
                            error = %e,
                            "A watch broke and is started anew."
                        );
                        continue;
                    }
                };
                let Some(event) = readable(event, &shelves) else { continue };
                let listed = matches!(event, Event::InitDone);
                for key in shelves.clusters.take_in(event, by_name) {
                    // The receiver is gone only when the operator ends.
                    let _ = wake.send(key);
                }
                if listed {
                    complete.send_replace(true);
                }
            }
        });
        is_complete
    }
}

fn readable(event: Event<DynamicObject>, shelves: &Shelves) -> Option<Event<RedisCluster>> {
    let keep = |raw: DynamicObject| {
        let name = raw.name_any();
        let reading = match reading::read(raw) {
            Ok(reading) => reading,
            Err(error) => {
                tracing::warn!(name, error, "A RedisCluster cannot be read; left alone.");
                return None;
            }
        };
        let mut object = reading.object;
        object.managed_fields_mut().clear();
        shelves.note_fault(by_name(&object)?, reading.fault);
        Some(object)
    };
    Some(match event {
        Event::Apply(raw) => Event::Apply(keep(raw)?),
        Event::InitApply(raw) => Event::InitApply(keep(raw)?),
        Event::Delete(raw) => {
            let object = keep(raw)?;
            shelves.note_fault(by_name(&object)?, None);
            Event::Delete(object)
        }
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

fn by_label<K: ResourceExt>(object: &K) -> Option<ClusterKey> {
    let name = object.labels().get(LABEL_CLUSTER)?.clone();
    Some(ClusterKey { namespace: object.namespace()?, name })
}

fn by_name(object: &RedisCluster) -> Option<ClusterKey> {
    Some(ClusterKey { namespace: object.namespace()?, name: object.name_any() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.namespace = Some("db".to_owned());
        pod.labels_mut().insert(LABEL_CLUSTER.to_owned(), "cache".to_owned());
        pod
    }

    fn key() -> ClusterKey {
        ClusterKey { namespace: "db".into(), name: "cache".into() }
    }

    fn names(shelf: &Shelf<Pod>) -> Vec<String> {
        shelf.of(&key()).iter().map(|p| p.name_any()).collect()
    }

    #[test]
    fn a_new_list_replaces_the_old_one_only_when_it_is_complete() {
        let shelf = Shelf::default();
        shelf.take_in(Event::Apply(pod("a")), by_label);
        shelf.take_in(Event::Init, by_label);
        shelf.take_in(Event::InitApply(pod("b")), by_label);
        assert_eq!(names(&shelf), ["a"]);
        assert_eq!(shelf.take_in(Event::InitDone, by_label), [key()]);
        assert_eq!(names(&shelf), ["b"]);
    }

    #[test]
    fn a_cluster_that_vanished_while_the_watch_was_broken_is_woken() {
        let shelf = Shelf::default();
        shelf.take_in(Event::Apply(pod("a")), by_label);
        shelf.take_in(Event::Init, by_label);
        assert_eq!(shelf.take_in(Event::InitDone, by_label), [key()]);
        assert!(names(&shelf).is_empty());
    }

    #[test]
    fn an_old_event_does_not_undo_what_was_just_written() {
        let versioned = |version: &str| {
            let mut pod = pod("a");
            pod.metadata.resource_version = Some(version.to_owned());
            pod
        };
        let shelf = Shelf::default();
        shelf.put(&key(), versioned("10"));
        assert!(shelf.take_in(Event::Apply(versioned("9")), by_label).is_empty());
        // The echo of our own write wakes nobody.
        assert!(shelf.take_in(Event::Apply(versioned("10")), by_label).is_empty());
        assert_eq!(shelf.get(&key(), "a").unwrap().resource_version().unwrap(), "10");
        shelf.take_in(Event::Apply(versioned("11")), by_label);
        assert_eq!(shelf.get(&key(), "a").unwrap().resource_version().unwrap(), "11");
    }

    #[test]
    fn an_object_without_the_label_belongs_to_nobody() {
        let shelf = Shelf::default();
        let mut stranger = pod("a");
        stranger.labels_mut().clear();
        assert!(shelf.take_in(Event::Apply(stranger), by_label).is_empty());
        assert!(names(&shelf).is_empty());
    }
}
