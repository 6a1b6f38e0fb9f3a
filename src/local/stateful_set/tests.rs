//! Promises of the StatefulSet controller.

use super::*;

fn store(replicas: i64) -> ApiStore {
    let mut store = ApiStore::new(1);
    let context = Context::new(0, "test");
    let namespace = Target::new(&TypeId::new("", "namespaces"), "", "");
    store.create(&namespace, json!({"metadata": {"name": "default"}}), &context).unwrap();
    let set = json!({"metadata": {"name": "s"}, "spec": {
        "serviceName": "nodes", "replicas": replicas, "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"}, "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "node", "image": "holdfast/node:1"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}}]}});
    store.create(&Target::new(&sets(), "default", ""), set, &context).unwrap();
    settle(&mut store);
    store
}

fn sets() -> TypeId {
    TypeId::new("apps", "statefulsets")
}

fn settle(store: &mut ApiStore) {
    for round in 0.. {
        let before = store.revision();
        step(store, 0);
        store.collect_garbage(0);
        if store.revision() == before {
            return;
        }
        assert!(round < 20, "the controller does not come to rest");
    }
}

fn names(store: &ApiStore, plural: &str) -> Vec<String> {
    store.all(&TypeId::new("", plural)).map(|o| object::name(o).to_owned()).collect()
}

fn patch(store: &mut ApiStore, patch: Value) {
    let target = Target::new(&sets(), "default", "s");
    store.patch(&target, &Patch::Merge(patch), &Context::new(0, "test")).unwrap();
    settle(store);
}

#[test]
fn pods_and_bound_claims_appear_all_at_once_and_rest_is_quiet() {
    let store = store(3);
    assert_eq!(names(&store, "pods"), ["s-0", "s-1", "s-2"]);
    assert_eq!(names(&store, "persistentvolumeclaims"), ["data-s-0", "data-s-1", "data-s-2"]);
    for claim in store.all(&TypeId::new("", "persistentvolumeclaims")) {
        assert_eq!(claim["status"]["phase"], "Bound");
    }
    let set = store.get(&Target::new(&sets(), "default", "s")).unwrap();
    assert_eq!(
        (&set["status"]["replicas"], &set["status"]["readyReplicas"]),
        (&json!(3), &json!(0))
    );
}

#[test]
fn scaling_in_deletes_the_highest_and_keeps_their_claims() {
    let mut store = store(3);
    patch(&mut store, json!({"spec": {"replicas": 1}}));
    assert_eq!(names(&store, "pods"), ["s-0"]);
    assert_eq!(names(&store, "persistentvolumeclaims").len(), 3);
}

#[test]
fn a_deleted_pod_comes_back_with_its_name_and_another_uid() {
    let mut store = store(1);
    let target = Target::new(&pods(), "default", "s-0");
    let before = store.get(&target).unwrap();
    store.delete(&target, &DeleteOptions::default(), &Context::new(0, "test")).unwrap();
    settle(&mut store);
    assert_ne!(object::uid(&store.get(&target).unwrap()), object::uid(&before));
}

#[test]
fn a_new_template_touches_no_pod_until_it_is_deleted() {
    let mut store = store(2);
    let label = ["metadata", "labels", REVISION_LABEL];
    let of = |store: &ApiStore, name: &str| {
        let pod = store.get(&Target::new(&pods(), "default", name)).unwrap();
        (text(&pod, &label).to_owned(), object::uid(&pod).to_owned())
    };
    let old = of(&store, "s-0");
    patch(&mut store, json!({"spec": {"template": {"metadata": {"labels": {"v": "2"}}}}}));
    assert_eq!(of(&store, "s-0"), old);
    let target = Target::new(&pods(), "default", "s-0");
    store.delete(&target, &DeleteOptions::default(), &Context::new(0, "test")).unwrap();
    settle(&mut store);
    assert_ne!(of(&store, "s-0").0, old.0);
    let set = store.get(&Target::new(&sets(), "default", "s")).unwrap();
    assert_eq!(set["status"]["updatedReplicas"], 1);
    assert_ne!(set["status"]["currentRevision"], set["status"]["updateRevision"]);
}

#[test]
fn deleting_the_set_takes_its_pods_and_leaves_the_volumes() {
    let mut store = store(2);
    let target = Target::new(&sets(), "default", "s");
    store.delete(&target, &DeleteOptions::default(), &Context::new(0, "test")).unwrap();
    settle(&mut store);
    assert!(names(&store, "pods").is_empty());
    assert_eq!(names(&store, "persistentvolumeclaims").len(), 2);
}

#[test]
fn a_claim_of_an_unknown_class_stays_pending() {
    let mut store = store(0);
    let claims = TypeId::new("", "persistentvolumeclaims");
    let claim = json!({"metadata": {"name": "c"}, "spec": {"storageClassName": "fast"}});
    store.create(&Target::new(&claims, "default", ""), claim, &Context::new(0, "test")).unwrap();
    settle(&mut store);
    let claim = store.get(&Target::new(&claims, "default", "c")).unwrap();
    assert_eq!(text(&claim, &["status", "phase"]), "");
}
