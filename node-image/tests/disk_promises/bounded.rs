//! Memory stays bounded when a disk or a reader is too slow: writers wait, the core does not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast_wire::resp::request::encode;

use super::servers::{Server, until};

const VALUE_BYTES: usize = 100_000;
const KEYS: usize = 1500;
/// What may wait, and what one more command may add.
const BOUND: u64 = (64 << 20) + 4 * VALUE_BYTES as u64;

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).parse().unwrap()
}

/// Writes all keys, some at a time, on a thread of its own.
fn write_all(server: &Server, letter: &'static str) -> JoinHandle<()> {
    let mut connection = server.connect();
    std::thread::spawn(move || {
        let value = letter.repeat(VALUE_BYTES);
        for n in 0..KEYS {
            connection.write(&encode(&["SET", &format!("key:{n}"), &value])).unwrap();
            assert_eq!(connection.read().unwrap(), "OK");
        }
    })
}

#[test]
fn writers_to_unsaved_keys_wait_while_a_snapshot_has_too_many_old_values_to_keep() {
    let root = tempfile::tempdir().unwrap();
    let limits = ["--rdbcompression", "no", "--client-output-buffer-limit", "slave 0 0 0"];
    let server = Server::ours(root.path(), &limits);
    write_all(&server, "x").join().unwrap();
    // A replica that asks for everything and reads nothing of it.
    let mut replica = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    replica.write_all(b"REPLCONF capa eof\r\nPSYNC ? -1\r\n").unwrap();
    replica.read_exact(&mut [0; 20]).unwrap();
    let writer = write_all(&server, "y");
    let side_bytes = || number(&server, "holdfast_snapshot_side_bytes");
    until("the side buffer is full", || (side_bytes() > 60 << 20).then_some(()));
    for _ in 0..20 {
        assert!(side_bytes() <= BOUND, "{}", side_bytes());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!writer.is_finished());
    // Others go on: readers, and writers to keys that the snapshot does not need.
    assert_eq!(server.ask("STRLEN key:1499"), VALUE_BYTES.to_string());
    assert_eq!(server.ask("SET another 1"), "OK");
    assert_eq!(server.ask("INCR another"), "2");
    drop(replica);
    writer.join().unwrap();
    until("nothing is kept", || (side_bytes() == 0).then_some(()));
}

#[test]
fn a_replica_that_only_sips_its_snapshot_does_not_hold_writers_up_for_ever() {
    let root = tempfile::tempdir().unwrap();
    let limits = ["--rdbcompression", "no", "--client-output-buffer-limit", "slave 0 0 0"];
    let server = Server::ours(root.path(), &[&limits[..], &["--repl-timeout", "5"]].concat());
    write_all(&server, "x").join().unwrap();
    let mut replica = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    replica.write_all(b"REPLCONF capa eof\r\nPSYNC ? -1\r\n").unwrap();
    replica.read_exact(&mut [0; 20]).unwrap();
    let sips = std::thread::spawn(move || {
        // So little at a time that it is never silent.
        while replica.read_exact(&mut [0; 16_000]).is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    write_all(&server, "y").join().unwrap();
    assert!(server.log().contains("is given up: writers wait"), "{}", server.log());
    sips.join().unwrap();
}

#[test]
fn a_snapshot_that_must_be_gathered_whole_is_bounded_by_the_replicas_output_limit() {
    let root = tempfile::tempdir().unwrap();
    let limits = ["--rdbcompression", "no", "--client-output-buffer-limit", "slave 20mb 0 0"];
    let server = Server::ours(root.path(), &limits);
    write_all(&server, "x").join().unwrap();
    let mut replica = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    replica.write_all(b"PSYNC ? -1\r\n").unwrap();
    let mut all = Vec::new();
    let _ = replica.read_to_end(&mut all);
    assert!(all.len() < 1000, "{}", all.len());
    assert!(server.log().contains("do not understand 'capa eof'"), "{}", server.log());
}

#[test]
fn a_replica_whose_disk_takes_nothing_stops_reading_and_goes_on_when_it_may() {
    let root = tempfile::tempdir().unwrap();
    let limits = ["--client-output-buffer-limit", "slave 0 0 0"];
    let primary = Server::ours(root.path(), &limits);
    let replica = Server::ours(root.path(), &["--appendonly", "yes"]);
    assert!(replica.ask(&format!("REPLICAOF 127.0.0.1 {}", primary.port)).starts_with("OK"));
    until("the link is up", || (replica.info("master_link_status") == "up").then_some(()));
    // The sync begins a set of its own, and only the next increment is the device.
    until("its file is begun", || (replica.info("aof_rewrites") == "1").then_some(()));
    let place = |seq| replica.dir.join(format!("appendonlydir/appendonly.aof.{seq}.incr.aof"));
    let next = (1..100).rfind(|seq| place(*seq).exists()).unwrap() + 1;
    std::os::unix::fs::symlink("/dev/full", place(next)).unwrap();
    assert!(replica.ask("BGREWRITEAOF").starts_with("Background"));
    until("the file is the device", || (replica.info("aof_rewrites") == "2").then_some(()));
    write_all(&primary, "x").join().unwrap();
    let waiting = || number(&replica, "aof_buffer_length");
    until("the replica has as much as it may", || (waiting() > 60 << 20).then_some(()));
    for _ in 0..20 {
        assert!(waiting() <= BOUND + (8 << 20), "{}", waiting());
        std::thread::sleep(Duration::from_millis(50));
    }
    let offset = primary.info("master_repl_offset");
    assert_ne!(replica.info("slave_repl_offset"), offset);
    assert_eq!(replica.info("master_link_status"), "up");
    // Without the file nothing has to wait for it.
    assert_eq!(replica.ask("CONFIG SET appendonly no"), "OK");
    until("all is applied", || (replica.info("slave_repl_offset") == offset).then_some(()));
    assert_eq!(replica.ask("DBSIZE"), KEYS.to_string());
}
