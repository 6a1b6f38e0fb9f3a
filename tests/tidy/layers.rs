//! Who may depend on whom, read from cargo's own tree. The rules are docs/architecture.md's.

use std::collections::BTreeSet;
use std::process::Command;

use crate::sources::root;

/// Names of all crates below `package`, itself apart. Panics when cargo does not answer.
fn tree(package: &str, more: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-e", "normal", "--prefix", "none", "-p", package])
        .args(more)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "cargo tree failed for {package}: {errors}");
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != package).map(str::to_owned).collect()
}

fn assert_none(package: &str, tree: &BTreeSet<String>, banned: &[&str]) {
    let found: Vec<&&str> = banned.iter().filter(|name| tree.contains(**name)).collect();
    assert!(found.is_empty(), "{package} must not know {found:?}");
}

const IO: [&str; 7] = ["tokio", "mio", "hyper", "redis", "kube-client", "rustix", "socket2"];

#[test]
fn the_planner_compiles_without_a_client_and_without_tokio() {
    let tree = tree("holdfast", &["--no-default-features"]);
    assert_none("holdfast without features", &tree, &IO);
    assert_none("holdfast without features", &tree, &["holdfast-node", "tracing"]);
}

#[test]
fn the_operators_image_holds_no_embedded_kubernetes_and_no_node() {
    let tree = tree("holdfast", &["--no-default-features", "--features", "client"]);
    assert_none("the operator's image", &tree, &["holdfast-node", "holdfast-api-store"]);
}

#[test]
fn store_and_cluster_do_not_know_each_other_nor_any_io() {
    let store = tree("holdfast-store", &[]);
    let cluster = tree("holdfast-cluster", &[]);
    assert_none("holdfast-store", &store, &["holdfast-cluster", "holdfast-node"]);
    assert_none("holdfast-cluster", &cluster, &["holdfast-store", "holdfast-node"]);
    assert_none("holdfast-store", &store, &IO);
    assert_none("holdfast-cluster", &cluster, &IO);
}

#[test]
fn wire_and_the_embedded_store_do_no_io() {
    assert_none("holdfast-wire", &tree("holdfast-wire", &[]), &IO);
    assert_none("holdfast-api-store", &tree("holdfast-api-store", &[]), &IO);
}

#[test]
fn the_simulator_never_sees_the_nodes_shell_nor_a_socket() {
    let tree = tree("holdfast-sim", &[]);
    assert_none("holdfast-sim", &tree, &["holdfast-node"]);
    assert_none("holdfast-sim", &tree, &IO);
}

#[test]
fn there_is_one_copy_of_kube_and_of_k8s_openapi() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is there");
    for name in ["kube", "kube-client", "kube-core", "k8s-openapi", "tokio", "mio", "rustls"] {
        let line = format!("name = \"{name}\"");
        let copies = lock.lines().filter(|found| **found == *line).count();
        assert_eq!(copies, 1, "{name} stands {copies} times in Cargo.lock");
    }
}

#[test]
fn the_cores_ban_clocks_files_sockets_and_random_maps() {
    for core in ["node-image/store", "node-image/cluster"] {
        let path = root().join(core).join("clippy.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for banned in ["Instant::now", "SystemTime::now", "std::fs", "std::net", "HashMap"] {
            assert!(text.contains(banned), "{core}/clippy.toml does not ban {banned}");
        }
    }
}
