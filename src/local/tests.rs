//! Promises of the embedded Kubernetes, asked through TLS and HTTP by the kube client; nodes are
//! played by a shell script.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams,
    PostParams, WatchEvent, WatchParams,
};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::api::RedisCluster;

/// Generous, since tests share the machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints its arguments and the mounted password, and dies by itself when told by a file.
const NODE: &str = r#"#!/bin/sh
echo "args: $*"
echo "me: $POD_NAME $POD_IP"
cat "$1"
trap 'echo bye; exit 0' TERM
while [ ! -e "$0.die" ]; do sleep 0.05; done
rm "$0.die"
exit 3
"#;

struct World {
    folder: tempfile::TempDir,
    kubernetes: Kubernetes,
    client: kube::Client,
    script: PathBuf,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("node.sh");
        fs::write(&script, NODE).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let kubernetes = Self::kubernetes(folder.path(), &script).await;
        let client = kubernetes.client().await.unwrap();
        Self { folder, kubernetes, client, script }
    }

    async fn kubernetes(folder: &Path, script: &Path) -> Kubernetes {
        let folder = Folder::open(Some(&folder.join("state"))).unwrap();
        Kubernetes::start(&folder, 0, vec![script.to_owned()]).await.unwrap()
    }

    async fn stop(self) -> tempfile::TempDir {
        let folder = Folder::open(Some(&self.folder.path().join("state"))).unwrap();
        self.kubernetes.stop(&folder).await;
        self.folder
    }

    fn api<K>(&self) -> kube::Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        kube::Api::namespaced(self.client.clone(), "default")
    }

    async fn create<K>(&self, object: serde_json::Value) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + serde::Serialize
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let object = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap()
    }

    async fn start_set(&self, replicas: i32) {
        self.start_set_of(stateful_set(replicas), replicas).await;
    }

    async fn start_set_of(&self, set: serde_json::Value, replicas: i32) {
        let _: ConfigMap = self
            .create(json!({"metadata": {"name": "c"}, "data": {
                "node.conf": "secret /etc/secret/password\ndir /data\n"}}))
            .await;
        let _: Secret = self
            .create(json!({"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}))
            .await;
        let _: StatefulSet = self.create(set).await;
        for ordinal in 0..replicas {
            self.until_running(&format!("n-{ordinal}")).await;
        }
    }

    async fn until_running(&self, pod: &str) {
        let running = await_condition(self.api::<Pod>(), pod, conditions::is_pod_running());
        timeout(PATIENCE, running).await.expect("the pod does not run").unwrap();
    }

    async fn until(&self, pod: &str, wanted: impl Fn(Option<&Pod>) -> bool) {
        let watched = await_condition(self.api::<Pod>(), pod, wanted);
        timeout(PATIENCE, watched).await.expect("it does not come to pass").unwrap();
    }
}

fn stateful_set(replicas: i32) -> serde_json::Value {
    let variable = |name: &str, path: &str| {
        let source = json!({"fieldRef": {"fieldPath": path}});
        json!({"name": name, "valueFrom": source})
    };
    json!({"metadata": {"name": "n"}, "spec": {
        "serviceName": "nodes", "replicas": replicas, "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"}, "selector": {"matchLabels": {"app": "n"}},
        "template": {"metadata": {"labels": {"app": "n"}}, "spec": {
            "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "node", "image": "holdfast/node:1",
                "args": ["/etc/node/node.conf", "--ip", "$(POD_IP)"],
                "env": [variable("POD_NAME", "metadata.name"),
                    variable("POD_IP", "status.podIP")],
                "volumeMounts": [{"name": "config", "mountPath": "/etc/node"},
                    {"name": "secret", "mountPath": "/etc/secret"},
                    {"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "config", "configMap": {"name": "c"}},
                {"name": "secret", "secret": {"secretName": "s"}},
                {"name": "data", "emptyDir": {}}]}}}})
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.and_then(|all| all.first()).map_or(0, |status| status.restart_count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pods_process_gets_its_arguments_address_and_mounts() {
    let world = World::start().await;
    world.start_set(1).await;
    let pod = world.api::<Pod>().get("n-0").await.unwrap();
    let ip = pod.status.unwrap().pod_ip.unwrap();
    assert!(ip.starts_with("127.10."), "{ip}");
    let printed = |log: &str| log.contains("dir /");
    let log = timeout(PATIENCE, async {
        loop {
            let log = world.api::<Pod>().logs("n-0", &LogParams::default()).await.unwrap();
            if printed(&log) {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the process prints nothing");
    assert!(log.contains(&format!("me: n-0 {ip}")), "{log}");
    assert!(log.contains(&format!("--ip {ip} --bind {ip}")), "{log}");
    assert!(!log.contains(" /data"), "mount paths are rewritten: {log}");
    let secret = log.lines().find_map(|line| line.strip_prefix("secret ")).unwrap();
    assert_eq!(fs::read_to_string(secret).unwrap(), "hunter2");
    let mode = fs::metadata(secret).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may not read a secret");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_is_started_again_and_its_end_is_told() {
    let world = World::start().await;
    world.start_set(1).await;
    fs::write(format!("{}.die", world.script.display()), "").unwrap();
    world.until("n-0", |pod| pod.is_some_and(|pod| restarts(pod) == 1)).await;
    world.until_running("n-0").await;
    let pod = world.api::<Pod>().get("n-0").await.unwrap();
    let status = pod.status.unwrap().container_statuses.unwrap().remove(0);
    let last = status.last_state.unwrap().terminated.unwrap();
    assert_eq!(last.exit_code, 3);
    assert_ne!(last.container_id, status.container_id);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_pod_ends_by_sigterm_and_comes_back_elsewhere() {
    let world = World::start().await;
    world.start_set(1).await;
    let pods = world.api::<Pod>();
    let before = pods.get("n-0").await.unwrap();
    let deleted = pods.delete("n-0", &DeleteParams::default()).await.unwrap();
    let marked = deleted.left().expect("a running pod is deleted with grace");
    assert!(marked.metadata.deletion_timestamp.is_some());
    let uid = before.metadata.uid.clone();
    world.until("n-0", |pod| pod.is_some_and(|pod| pod.metadata.uid != uid)).await;
    world.until_running("n-0").await;
    let after = pods.get("n-0").await.unwrap();
    assert_ne!(after.status.unwrap().pod_ip, before.status.unwrap().pod_ip);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_made_again_is_empty_and_its_old_folder_goes() {
    let world = World::start().await;
    let volumes = world.folder.path().join("state/volumes");
    let mut set = stateful_set(1);
    set["spec"]["template"]["spec"]["volumes"] = json!([
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "secret", "secret": {"secretName": "s"}}]);
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    world.start_set_of(set, 1).await;
    let only_folder = || {
        let found: Vec<_> = fs::read_dir(&volumes).unwrap().map(|e| e.unwrap().path()).collect();
        (found.len() == 1).then(|| found.into_iter().next().unwrap())
    };
    let first = only_folder().expect("one volume");
    fs::write(first.join("key"), "value").unwrap();
    let uid = world.api::<Pod>().get("n-0").await.unwrap().metadata.uid;
    let claims = world.api::<PersistentVolumeClaim>();
    claims.delete("data-n-0", &DeleteParams::default()).await.unwrap();
    world.api::<Pod>().delete("n-0", &DeleteParams::default()).await.unwrap();
    world.until("n-0", |pod| pod.is_some_and(|pod| pod.metadata.uid != uid)).await;
    world.until_running("n-0").await;
    let second = timeout(PATIENCE, async {
        loop {
            if let Some(second) = only_folder().filter(|second| *second != first) {
                return second;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the old folder stays");
    assert!(!second.join("key").exists());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_objects_outlive_a_restart_in_the_same_folder() {
    let world = World::start().await;
    world.start_set(1).await;
    let uid = world.api::<Pod>().get("n-0").await.unwrap().metadata.uid;
    let script = world.script.clone();
    let folder = world.stop().await;
    let kubernetes = World::kubernetes(folder.path(), &script).await;
    let client = kubernetes.client().await.unwrap();
    let world = World { folder, kubernetes, client, script };
    world.until_running("n-0").await;
    assert_eq!(world.api::<Pod>().get("n-0").await.unwrap().metadata.uid, uid);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kube_client_creates_lists_patches_watches_and_deletes() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    let made: ConfigMap =
        world.create(json!({"metadata": {"name": "a", "labels": {"x": "1"}}})).await;
    let version = made.metadata.resource_version.unwrap();
    let stream = maps.watch(&WatchParams::default(), &version).await.unwrap();
    let mut stream = stream.boxed();

    let merge = Patch::Merge(json!({"data": {"k": "v"}}));
    maps.patch("a", &PatchParams::default(), &merge).await.unwrap();
    let listed = maps.list(&ListParams::default().labels("x=1")).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    let apply = Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a"}, "data": {"k": "mine"}}));
    let conflict = maps.patch("a", &PatchParams::apply("other"), &apply).await.unwrap_err();
    assert!(matches!(&conflict, kube::Error::Api(e) if e.code == 409), "{conflict}");
    maps.patch("a", &PatchParams::apply("other").force(), &apply).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();

    let mut seen = Vec::new();
    while seen.len() < 3 {
        let event = timeout(PATIENCE, stream.try_next()).await.expect("no event").unwrap();
        match event.expect("the watch ended") {
            WatchEvent::Modified(_) => seen.push("modified"),
            WatchEvent::Deleted(_) => seen.push("deleted"),
            WatchEvent::Bookmark(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(seen, ["modified", "modified", "deleted"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_cluster_is_refused_and_a_good_one_scales_by_the_scale_door() {
    let world = World::start().await;
    let clusters = world.api::<RedisCluster>();
    let of = ApiResource::erase::<RedisCluster>(&());
    let any: kube::Api<DynamicObject> =
        kube::Api::namespaced_with(world.client.clone(), "default", &of);
    let bad: DynamicObject = serde_json::from_value(json!({"apiVersion": "holdfast.dev/v1alpha1",
        "kind": "RedisCluster", "metadata": {"name": "bad"}, "spec": {"shards": 0}}))
    .unwrap();
    let refused = any.create(&PostParams::default(), &bad).await.unwrap_err();
    assert!(refused.to_string().contains("spec.shards: Invalid value: 0"), "{refused}");
    let _: RedisCluster =
        world.create(json!({"metadata": {"name": "cache"}, "spec": {"shards": 3}})).await;
    let patch = Patch::Merge(json!({"spec": {"replicas": 5}}));
    clusters.patch_scale("cache", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(clusters.get("cache").await.unwrap().spec.shards, 5);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_without_the_token() {
    let world = World::start().await;
    let mut kubeconfig = kube::config::Kubeconfig::read_from(&world.kubernetes.kubeconfig).unwrap();
    for user in &mut kubeconfig.auth_infos {
        user.auth_info.as_mut().unwrap().token = Some("guess".to_owned().into());
    }
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let refused = kube::Api::<Pod>::default_namespaced(client).get("x").await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(e) if e.code == 401), "{refused}");
    world.stop().await;
}

#[test]
fn a_manifest_is_applied_document_by_document_and_refused_with_its_name() {
    let mut store = world::empty_store(1);
    world::furnish(&mut store, 0).unwrap();
    let api = Api::new(store);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.yaml");
    let good = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n\
                apiVersion: holdfast.dev/v1alpha1\nkind: RedisCluster\nmetadata: {name: c}\n\
                spec: {shards: 3}\n";
    fs::write(&file, good).unwrap();
    let names = manifest::apply(&api, std::slice::from_ref(&file)).unwrap();
    assert_eq!(names, ["configmaps/a", "redisclusters/c"]);
    fs::write(&file, good.replace("shards: 3", "shards: 3, shrads: 1")).unwrap();
    let refused = manifest::apply(&api, &[file]).unwrap_err().to_string();
    assert!(refused.contains("unknown field \"spec.shrads\""), "{refused}");
}
