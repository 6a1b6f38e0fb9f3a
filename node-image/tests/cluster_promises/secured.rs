//! Nodes that speak TLS to each other: on the bus, in replication, when slots move.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::client::{ClusterClient, text};
use crate::nodes::{Cluster, PATIENCE, Server, free_port, redis_cli, until};

/// A folder with an authority and one certificate that all nodes share.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate for self-signed whose issuer has its own name.
    params.distinguished_name.push(DnType::CommonName, "test authority");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("ca"), issuer.pem()).unwrap();
    std::fs::write(folder.join("cert"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key"), key.serialize_pem()).unwrap();
}

fn directives(folder: &Path) -> Vec<String> {
    let path = |file: &str| folder.join(file).display().to_string();
    ["--tls-cluster", "yes", "--tls-replication", "yes", "--tls-cert-file", &path("cert")]
        .into_iter()
        .chain(["--tls-key-file", &path("key"), "--tls-ca-cert-file", &path("ca")])
        .map(str::to_owned)
        .collect()
}

struct SecuredCluster {
    cluster: Cluster,
    folder: PathBuf,
}

/// Each node has a TLS port of its own beside the ordinary one, which the tests use.
fn create(primaries: usize, replicas: usize) -> SecuredCluster {
    let folder = tempfile::tempdir().unwrap().keep();
    certificates(&folder);
    let words = directives(&folder);
    let nodes = |root: &Path| {
        let one = |_| {
            let port = free_port().to_string();
            let mut all: Vec<&str> = words.iter().map(String::as_str).collect();
            all.extend(["--tls-port", &port, "--cluster-allow-replica-migration", "no"]);
            Server::node(root, &all)
        };
        (0..primaries * (1 + replicas)).map(one).collect()
    };
    SecuredCluster { cluster: Cluster::create_of(nodes, replicas), folder }
}

fn tls_port(server: &Server) -> String {
    server.ask("CONFIG GET tls-port").trim_matches(['[', ']']).replace("tls-port, ", "")
}

#[test]
fn a_cluster_forms_replicates_moves_slots_and_fails_over_by_tls_alone() {
    let SecuredCluster { mut cluster, folder } = create(3, 1);
    let mut client = ClusterClient::new(&cluster.ports());
    for n in 0..500 {
        let reply = client.call(&["SET", &format!("key:{n}"), &n.to_string()], PATIENCE).unwrap();
        assert_eq!(text(&reply), "OK");
    }
    let target = cluster.nodes[2].id();
    let order = format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 1000 NODE {target}");
    assert_eq!(cluster.nodes[0].control().text(&order), "OK");
    until("the slots have moved", || {
        let jobs = cluster.nodes[0].state().migrations;
        let job = jobs.into_iter().rfind(|job| job.outgoing)?;
        assert_ne!(job.state, "failed", "{}", job.error);
        (job.state == "success").then_some(())
    });
    let dead = cluster.nodes[0].id();
    let heir = cluster.nodes.iter().position(|n| n.state().primary_id == dead).unwrap();
    cluster.nodes[0].kill();
    until("the replica is promoted", || {
        cluster.nodes[heir].ask("ROLE").starts_with("[master").then_some(())
    });
    let mut client = ClusterClient::new(&cluster.ports()[1..]);
    for n in 0..500 {
        let key = format!("key:{n}");
        let reply = client.call(&["GET", &key], Duration::from_secs(30)).unwrap();
        assert_eq!(text(&reply), n.to_string(), "{key}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_client_is_sent_on_to_ports_that_speak_as_it_does() {
    let SecuredCluster { cluster, folder } = create(3, 0);
    let plain: Vec<String> = cluster.nodes.iter().map(|node| node.port.to_string()).collect();
    let tls: Vec<String> = cluster.nodes.iter().map(tls_port).collect();
    let path = |file: &str| folder.join(file).display().to_string();
    let secured = |words: &[&str]| {
        let (ca, cert, key) = (path("ca"), path("cert"), path("key"));
        let mut all = vec!["-h", "localhost", "-p", &tls[0], "--tls", "--cacert", &ca];
        all.extend(["--cert", &cert, "--key", &key]);
        all.extend(words);
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        String::from_utf8_lossy(&redis_cli(&all).stdout).into_owned()
    };
    let in_clear = |words: &str| cluster.nodes[0].ask(words);
    for (asked, ports, others) in [
        (secured(&["CLUSTER", "SLOTS"]), &tls, &plain),
        (in_clear("CLUSTER SLOTS"), &plain, &tls),
        (secured(&["CLUSTER", "NODES"]), &tls, &plain),
        (in_clear("CLUSTER NODES"), &plain, &tls),
    ] {
        assert!(ports.iter().all(|port| asked.contains(port.as_str())), "{ports:?} in {asked}");
        assert!(!others.iter().any(|port| asked.contains(port.as_str())), "{others:?} in {asked}");
    }
    let moved = secured(&["SET", "foo", "bar"]);
    assert!(moved.starts_with("MOVED 12182 ") && moved.trim().ends_with(&tls[2]), "{moved}");
    let moved = in_clear("SET foo bar");
    assert!(moved.contains("MOVED 12182 ") && moved.ends_with(&plain[2]), "{moved}");
    assert_eq!(secured(&["-c", "SET", "foo", "bar"]).trim(), "OK");
    let shards = in_clear("CLUSTER SHARDS");
    assert!(shards.contains("tls-port") && shards.contains(", port"), "{shards}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_node_of_another_authority_gets_no_word_in() {
    let SecuredCluster { cluster, folder } = create(3, 0);
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(other.path());
    let words = directives(other.path());
    let stranger = Server::node(root.path(), &words.iter().map(String::as_str).collect::<Vec<_>>());
    let plain = Server::node(root.path(), &[]);
    for guest in [&stranger, &plain] {
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", guest.port, guest.bus_port);
        assert_eq!(cluster.nodes[0].ask(&meet), "OK");
        let home = &cluster.nodes[0];
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", home.port, home.bus_port);
        assert_eq!(guest.ask(&meet), "OK");
    }
    // Longer than a handshake lasts.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(cluster.nodes[0].info("cluster_known_nodes"), "3");
    for guest in [&stranger, &plain] {
        assert_eq!(guest.info("cluster_known_nodes"), "1");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
