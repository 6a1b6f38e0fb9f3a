//! What the rendered objects promise, beyond their exact text.

use super::*;
use crate::api::RedisCluster;
use crate::validate::{Defaults, validate};

pub(crate) fn cluster(spec: Value) -> ValidatedCluster {
    let object: RedisCluster = serde_json::from_value(json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "RedisCluster",
        "metadata": {"name": "cache", "namespace": "shop", "uid": "1f6e7a1c-8f0e-4a63-9d2f-2f4a3c5b6d7e"},
        "spec": spec,
    }))
    .unwrap();
    let defaults = Defaults { node_repository: "holdfast/node".into(), node_tag: "0.1.0".into() };
    validate(&object, &defaults).unwrap()
}

fn stateful_set_of(spec: Value) -> Value {
    let cluster = cluster(spec);
    stateful_set(&cluster, cluster.new_cluster_id, 0, 2).manifest
}

#[test]
fn the_same_wish_renders_the_same_bytes() {
    let spec = json!({"shards": 3, "storage": {"size": "1Gi"}});
    let (one, two) = (cluster(spec.clone()), cluster(spec));
    let shards = BTreeSet::from([0, 1, 2]);
    let render = |cluster| foundations(cluster, one.new_cluster_id, &shards);
    assert_eq!(render(&one), render(&two));
    assert_eq!(revision(&one, one.new_cluster_id), revision(&two, two.new_cluster_id));
}

#[test]
fn what_a_process_reads_at_its_start_changes_the_revision_and_nothing_else_does() {
    let revision_of = |spec: Value| {
        let cluster = cluster(spec);
        revision(&cluster, cluster.new_cluster_id)
    };
    let base = revision_of(json!({"shards": 3}));
    for same in [
        json!({"shards": 9}),
        json!({"shards": 3, "replicasPerShard": 3}),
        json!({"shards": 3, "rebalance": {"maxConcurrent": 4}}),
        json!({"shards": 3, "paused": true}),
    ] {
        assert_eq!(revision_of(same.clone()), base, "{same}");
    }
    for other in [
        json!({"shards": 3, "image": {"tag": "0.2.0"}}),
        json!({"shards": 3, "config": {"maxmemory-policy": "allkeys-lru"}}),
        json!({"shards": 3, "failover": {"nodeTimeoutMs": 3000}}),
        json!({"shards": 3, "resources": {"requests": {"cpu": 1}}}),
    ] {
        assert_ne!(revision_of(other.clone()), base, "{other}");
    }
}

#[test]
fn pods_are_restricted_and_carry_no_secret_in_arguments_or_environment() {
    let manifest = stateful_set_of(json!({"shards": 1}));
    let pod = &manifest["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    assert!(!container["args"].to_string().contains("pass"));
    assert!(!container["env"].to_string().contains("secret"));
}

#[test]
fn a_shard_that_is_down_takes_no_other_with_it_unless_that_is_wished() {
    let last_word = |spec: Value| {
        let cluster = cluster(spec);
        let text = configuration(&cluster, cluster.new_cluster_id);
        let mut said =
            text.lines().filter(|line| line.starts_with("cluster-require-full-coverage"));
        said.next_back().unwrap().to_owned()
    };
    let wished = json!({"shards": 1, "config": {"cluster-require-full-coverage": "yes"}});
    assert_eq!(last_word(json!({"shards": 1})), "cluster-require-full-coverage no");
    assert_eq!(last_word(wished), "cluster-require-full-coverage \"yes\"");
}

#[test]
fn nodes_never_change_whom_they_follow_behind_the_operator_s_back() {
    let cluster = cluster(json!({"shards": 1}));
    let text = configuration(&cluster, cluster.new_cluster_id);
    assert!(text.contains("\ncluster-allow-replica-migration no\n"));
}

#[test]
fn a_stateful_set_never_rolls_and_never_deletes_volumes_by_itself() {
    let manifest = stateful_set_of(json!({"shards": 1, "storage": {"size": "1Gi"}}));
    let spec = &manifest["spec"];
    assert_eq!(spec["updateStrategy"]["type"], "OnDelete");
    assert_eq!(spec["podManagementPolicy"], "Parallel");
    let retention = &spec["persistentVolumeClaimRetentionPolicy"];
    assert_eq!(retention, &json!({"whenDeleted": "Retain", "whenScaled": "Retain"}));
    assert_eq!(spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "1Gi");
}

#[test]
fn selectors_match_their_pods() {
    let manifest = stateful_set_of(json!({"shards": 1}));
    let selector = &manifest["spec"]["selector"]["matchLabels"];
    assert!(is_within(selector, &manifest["spec"]["template"]["metadata"]["labels"]));
}

#[test]
fn everything_is_owned_by_the_object_so_that_it_goes_with_it() {
    let cluster = cluster(json!({"shards": 2}));
    let mut objects = foundations(&cluster, cluster.new_cluster_id, &BTreeSet::from([0, 1]));
    objects.push(stateful_set(&cluster, cluster.new_cluster_id, 0, 2));
    objects.push(secret(&cluster, SecretPurpose::Internal, "hidden"));
    for object in objects {
        let owner = &object.manifest["metadata"]["ownerReferences"][0];
        assert_eq!(owner["uid"], cluster.uid.as_str(), "{}", object.name);
        assert_eq!(owner["controller"], true, "{}", object.name);
    }
}

#[test]
fn a_secret_s_hash_does_not_depend_on_the_password() {
    let cluster = cluster(json!({"shards": 1}));
    let one = secret(&cluster, SecretPurpose::DefaultUser, "one");
    assert_eq!(one.hash, secret(&cluster, SecretPurpose::DefaultUser, "two").hash);
    assert_eq!(one.manifest["stringData"]["password"], "one");
}

#[test]
fn without_replicas_no_eviction_is_allowed() {
    let of = |spec: Value| {
        let cluster = cluster(spec);
        pod_disruption_budget::of_shard(&cluster, 0).manifest["spec"]["maxUnavailable"].clone()
    };
    assert_eq!(of(json!({"shards": 1, "replicasPerShard": 0})), 0);
    assert_eq!(of(json!({"shards": 1, "replicasPerShard": 2})), 1);
}

#[test]
fn pod_names_are_read_back() {
    assert_eq!(parse_pod_name("cache", &pod_name("cache", 12, 3)), Some((12, 3)));
    for other in ["cache-1", "cache-1-x", "cache-01-0", "cachet-1-0", "cache-a-1-0", "x-1-0"] {
        assert_eq!(parse_pod_name("cache", other), None, "{other}");
    }
}

#[test]
fn foreign_additions_do_not_matter_but_changes_do() {
    let wish = json!({"spec": {"ports": [{"port": 6379}]}});
    assert!(is_within(&wish, &json!({"spec": {"ports": [{"port": 6379, "nodePort": 1}], "x": 1}})));
    assert!(!is_within(&wish, &json!({"spec": {"ports": [{"port": 6380}]}})));
    assert!(!is_within(&wish, &json!({"spec": {"ports": [{"port": 6379}, {"port": 1}]}})));
}
