//! Random bytes on any port leave the node serving.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

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

/// How long the node keeps a connection on which these bytes came.
fn kept(port: u16, bytes: &[u8], patience: Duration) -> Duration {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let began = Instant::now();
    let _ = stream.write_all(bytes);
    stream.set_read_timeout(Some(patience)).unwrap();
    match stream.read(&mut [0; 64]) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => patience,
        _ => began.elapsed(),
    }
}

fn frame(announced: u32, len: usize) -> Vec<u8> {
    let mut frame = b"RCmb".to_vec();
    frame.extend(announced.to_be_bytes());
    frame.resize(len, 0xff);
    frame
}

#[test]
fn a_stranger_on_the_bus_gets_little_memory_and_little_time() {
    let root = tempfile::tempdir().unwrap();
    let node = Server::node(root.path(), &[]);
    let long = frame(32 << 20, 100_000);
    assert!(kept(node.bus_port, &long, Duration::from_secs(5)) < Duration::from_secs(5));
    // A whole frame that says nothing buys no time for the half one behind it.
    let nonsense = [frame(3000, 3000), frame(900_000, 500_000)].concat();
    let patience = Duration::from_secs(20);
    assert!(kept(node.bus_port, &nonsense, patience) < patience);
    assert_eq!(node.ask("PING"), "PONG");
}

#[test]
fn a_member_may_send_frames_that_a_stranger_may_not() {
    let cluster = Cluster::create(3, 0, &[]);
    let mut reader = cluster.nodes[1].open();
    reader.text("SUBSCRIBE news");
    let message = "m".repeat(8 << 20);
    cluster.nodes[0].ask(&format!("PUBLISH news {message}"));
    let heard = reader.next();
    assert_eq!(
        heard.len(),
        message.len() + "[message, news, ]".len(),
        "{}",
        &heard[..heard.len().min(200)]
    );
}
