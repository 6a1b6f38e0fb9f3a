//! Random bytes on any port leave the node serving.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::nodes::{Cluster, Server};

/// Bytes that look random and are the same in each run.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn pour(port: u16, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    // The node may cut us off at any byte; that it must not end is checked afterwards.
    let _ = stream.write_all(bytes);
}

#[test]
fn a_megabyte_of_noise_on_every_port_leaves_the_node_serving() {
    let root = tempfile::tempdir().unwrap();
    let mut node = Server::node(root.path(), &[]);
    for (n, port) in [node.port, node.bus_port, node.control_port].into_iter().enumerate() {
        pour(port, &noise(n as u64 + 1, 1024 * 1024));
        assert!(node.is_running(), "{}", node.log());
        assert_eq!(node.ask("PING"), "PONG");
        assert_eq!(node.state().node_id, node.id());
    }
}

#[test]
fn a_packet_that_is_cut_or_lies_about_its_length_is_dropped() {
    let cluster = Cluster::create(3, 0, &[]);
    let mut packet = b"RCmb".to_vec();
    for length in [0u32, 7, 100, 2256, 2257, 65_536, u32::MAX] {
        packet.truncate(4);
        packet.extend(length.to_be_bytes());
        packet.extend(noise(u64::from(length), 4096));
        pour(cluster.nodes[0].bus_port, &packet);
    }
    assert_eq!(cluster.nodes[0].info("cluster_known_nodes"), "3");
    cluster.wait_ok();
}

#[test]
fn a_thousand_connections_to_the_bus_leave_it_serving() {
    let cluster = Cluster::create(3, 0, &["--cluster-node-timeout", "5000"]);
    let open: Vec<TcpStream> = (0..1000)
        .filter_map(|_| TcpStream::connect(("127.0.0.1", cluster.nodes[0].bus_port)).ok())
        .collect();
    assert!(open.len() >= 900, "only {} connections", open.len());
    assert_eq!(cluster.nodes[0].state().peers.iter().filter(|peer| peer.connected).count(), 2);
    drop(open);
    cluster.wait_ok();
}
