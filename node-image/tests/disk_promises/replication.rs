//! Replication, with us on either side, and stock servers on the other.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::servers::{Connection, Server, content, fill, until, wait_equal};

fn follow(replica: &Server, port: u16) {
    assert!(replica.ask(&format!("REPLICAOF 127.0.0.1 {port}")).starts_with("OK"));
}

fn wait_up(replica: &Server) {
    until("the link is up", || (replica.info("master_link_status") == "up").then_some(()));
}

/// Full sync, stream, and equality of data and offsets.
fn check_pair(primary: &Server, replica: &Server) {
    fill(primary, 0, 500);
    assert_eq!(primary.ask("COPY string:3 other DB 1"), "1");
    follow(replica, primary.port);
    wait_up(replica);
    wait_equal(primary, replica);
    fill(primary, 500, 600);
    let mut client = primary.connect();
    for words in ["SELECT 1", "MULTI", "SET a 1", "LPUSH l x y", "EXEC", "SELECT 0", "DEL hash:3"] {
        client.call(&words.split(' ').collect::<Vec<_>>()).unwrap();
    }
    wait_equal(primary, replica);
    until("the offsets are equal", || {
        let offset = primary.info("master_repl_offset");
        (offset == replica.info("slave_repl_offset") && offset == acked(primary)).then_some(())
    });
}

fn acked(primary: &Server) -> String {
    let line = primary.info("slave0");
    let offset = line.split(',').find_map(|field| field.strip_prefix("offset="));
    offset.unwrap_or("").to_owned()
}

#[test]
fn our_replica_follows_our_primary() {
    let root = tempfile::tempdir().unwrap();
    check_pair(&Server::ours(root.path(), &[]), &Server::ours(root.path(), &[]));
}

#[test]
fn our_replica_follows_a_stock_primary() {
    let root = tempfile::tempdir().unwrap();
    let eager = ["--repl-diskless-sync-delay", "0"];
    check_pair(&Server::stock(root.path(), &eager), &Server::ours(root.path(), &[]));
}

#[test]
fn our_replica_follows_a_stock_primary_that_sends_a_length() {
    let root = tempfile::tempdir().unwrap();
    let from_disk = ["--repl-diskless-sync", "no"];
    check_pair(&Server::stock(root.path(), &from_disk), &Server::ours(root.path(), &[]));
}

#[test]
fn a_stock_replica_follows_our_primary() {
    let root = tempfile::tempdir().unwrap();
    check_pair(&Server::ours(root.path(), &[]), &Server::stock(root.path(), &[]));
}

#[test]
fn a_stock_replica_that_loads_from_the_socket_follows_our_primary() {
    let root = tempfile::tempdir().unwrap();
    let swap = ["--repl-diskless-load", "swapdb"];
    check_pair(&Server::ours(root.path(), &[]), &Server::stock(root.path(), &swap));
}

#[test]
fn passwords_are_given_and_wrong_ones_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let primary = Server::ours(root.path(), &["--requirepass", "secret"]);
    let replica = Server::ours(root.path(), &["--masterauth", "wrong"]);
    follow(&replica, primary.port);
    until("the refusal is logged", || replica.log().contains("Unable to AUTH").then_some(()));
    assert_eq!(replica.info("master_link_status"), "down");
    assert_eq!(replica.ask("CONFIG SET masterauth secret"), "OK");
    wait_up(&replica);
    let mut client = primary.connect();
    assert_eq!(client.call(&["AUTH", "secret"]).unwrap(), "OK");
    assert_eq!(client.call(&["SET", "a", "1"]).unwrap(), "OK");
    until("the write arrives", || (replica.ask("GET a") == "1").then_some(()));
}

/// A relay whose connections can be cut.
struct Relay {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Relay {
    fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&cut);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                pump(client.try_clone().unwrap(), server.try_clone().unwrap(), &shared);
                pump(server, client, &shared);
            }
        });
        Self { port, cut }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, cut: &Arc<AtomicBool>) {
    let cut = Arc::clone(cut);
    from.set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while !cut.load(Ordering::Relaxed) {
            match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) if to.write_all(&bytes[..count]).is_ok() => {}
                Ok(_) => break,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        drop(from.shutdown(std::net::Shutdown::Both));
        drop(to.shutdown(std::net::Shutdown::Both));
    });
}

/// The link breaks, writes go on, and what was missed comes without a full sync.
fn check_partial(primary: &Server, replica: &Server) {
    let relay = Relay::to(primary.port);
    fill(primary, 0, 100);
    follow(replica, relay.port);
    wait_up(replica);
    wait_equal(primary, replica);
    for round in 1..=3 {
        relay.cut.store(true, Ordering::Relaxed);
        until("the link is down", || (replica.info("master_link_status") == "down").then_some(()));
        fill(primary, 100 * round, 100 * round + 50);
        relay.cut.store(false, Ordering::Relaxed);
        wait_up(replica);
        wait_equal(primary, replica);
    }
    assert_eq!(primary.info("sync_full"), "1");
    assert_eq!(primary.info("sync_partial_ok"), "3");
}

#[test]
fn after_a_broken_link_our_replica_gets_only_what_it_missed() {
    let root = tempfile::tempdir().unwrap();
    check_partial(&Server::ours(root.path(), &[]), &Server::ours(root.path(), &[]));
}

#[test]
fn after_a_broken_link_our_replica_gets_only_what_it_missed_from_a_stock_primary() {
    let root = tempfile::tempdir().unwrap();
    let eager = ["--repl-diskless-sync-delay", "0"];
    check_partial(&Server::stock(root.path(), &eager), &Server::ours(root.path(), &[]));
}

#[test]
fn after_a_broken_link_a_stock_replica_gets_only_what_it_missed_from_us() {
    let root = tempfile::tempdir().unwrap();
    check_partial(&Server::ours(root.path(), &[]), &Server::stock(root.path(), &[]));
}

#[test]
fn a_replica_that_missed_more_than_is_kept_gets_everything_anew() {
    let root = tempfile::tempdir().unwrap();
    let primary = Server::ours(root.path(), &["--repl-backlog-size", "20000"]);
    let replica = Server::ours(root.path(), &[]);
    let relay = Relay::to(primary.port);
    follow(&replica, relay.port);
    wait_up(&replica);
    relay.cut.store(true, Ordering::Relaxed);
    until("the link is down", || (replica.info("master_link_status") == "down").then_some(()));
    fill(&primary, 0, 2000);
    relay.cut.store(false, Ordering::Relaxed);
    wait_up(&replica);
    wait_equal(&primary, &replica);
    assert_eq!(primary.info("sync_full"), "2");
}

#[test]
fn a_promoted_replica_goes_on_with_its_siblings_and_takes_the_old_primary_in() {
    let root = tempfile::tempdir().unwrap();
    let first = Server::ours(root.path(), &[]);
    let second = Server::ours(root.path(), &[]);
    let sibling = Server::ours(root.path(), &[]);
    let stock = Server::stock(root.path(), &[]);
    fill(&first, 0, 100);
    for replica in [&second, &sibling, &stock] {
        follow(replica, first.port);
        wait_up(replica);
        wait_equal(&first, replica);
    }
    let old_id = first.info("master_replid");
    assert_eq!(second.info("master_replid"), old_id);
    assert_eq!(second.ask("REPLICAOF NO ONE"), "OK");
    assert_eq!(second.info("master_replid2"), old_id);
    assert_ne!(second.info("master_replid"), old_id);
    for replica in [&first, &sibling, &stock] {
        follow(replica, second.port);
    }
    fill(&second, 100, 150);
    for replica in [&first, &sibling, &stock] {
        wait_up(replica);
        wait_equal(&second, replica);
        assert_eq!(replica.info("master_replid"), second.info("master_replid"));
    }
    assert_eq!(second.info("sync_full"), "0", "all three went on where they were");
}

#[test]
fn an_old_primary_that_wrote_on_alone_is_taken_in_by_a_full_sync() {
    let root = tempfile::tempdir().unwrap();
    let first = Server::ours(root.path(), &[]);
    let second = Server::ours(root.path(), &[]);
    fill(&first, 0, 50);
    follow(&second, first.port);
    wait_up(&second);
    wait_equal(&first, &second);
    assert_eq!(second.ask("REPLICAOF NO ONE"), "OK");
    assert_eq!(first.ask("SET only-here 1"), "OK");
    assert_eq!(second.ask("SET only-there 1"), "OK");
    follow(&first, second.port);
    wait_up(&first);
    wait_equal(&second, &first);
    assert_eq!(first.ask("EXISTS only-here"), "0");
    assert_eq!(second.info("sync_full"), "1");
}

#[test]
fn what_a_replica_applies_in_a_flood_is_all_in_its_file() {
    let root = tempfile::tempdir().unwrap();
    let primary = Server::ours(root.path(), &[]);
    let file = ["--appendonly", "yes", "--enable-debug-command", "yes"];
    let mut replica = Server::ours(root.path(), &file);
    follow(&replica, primary.port);
    wait_up(&replica);
    // More than one turn takes from the link.
    fill(&primary, 0, 20_000);
    let offset = primary.info("master_repl_offset");
    until("all is applied", || (replica.info("slave_repl_offset") == offset).then_some(()));
    let expected = replica.ask("DEBUG DIGEST");
    replica.terminate();
    replica.restart();
    assert_eq!(replica.ask("DEBUG DIGEST"), expected);
}

#[test]
fn a_chain_of_replicas_has_the_same_data_and_offsets_all_along() {
    let root = tempfile::tempdir().unwrap();
    let first = Server::ours(root.path(), &[]);
    let second = Server::ours(root.path(), &[]);
    let third = Server::ours(root.path(), &[]);
    let stock = Server::stock(root.path(), &[]);
    fill(&first, 0, 100);
    first.ask("COPY string:3 other DB 1");
    follow(&second, first.port);
    wait_up(&second);
    for replica in [&third, &stock] {
        follow(replica, second.port);
        wait_up(replica);
    }
    let mut client = first.connect();
    for words in ["SELECT 1", "SET a 1", "MULTI", "SET b 1", "SET c 2", "EXEC"] {
        client.call(&words.split(' ').collect::<Vec<_>>()).unwrap();
    }
    fill(&first, 100, 200);
    for replica in [&second, &third, &stock] {
        wait_equal(&first, replica);
        until("the offsets are equal", || {
            let offset = first.info("master_repl_offset");
            (offset == replica.info("slave_repl_offset")).then_some(())
        });
    }
}

#[test]
fn the_old_data_stays_until_the_new_snapshot_is_complete() {
    let root = tempfile::tempdir().unwrap();
    let replica = Server::ours(root.path(), &[]);
    fill(&replica, 0, 100);
    let before = content(&replica, 2);
    // A primary that sends half a snapshot and closes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let primary = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut bytes = [0; 1024];
        loop {
            let count = socket.read(&mut bytes).unwrap();
            seen.extend_from_slice(&bytes[..count]);
            if seen.windows(5).any(|window| window == b"PSYNC") {
                break;
            }
            socket.write_all(b"+OK\r\n").unwrap();
        }
        let answer = format!("+FULLRESYNC {} 1000\r\n$EOF:{}\r\n", "a".repeat(40), "b".repeat(40));
        socket.write_all(answer.as_bytes()).unwrap();
        socket.write_all(b"REDIS0010\x00\x03new\x03key").unwrap();
    });
    follow(&replica, port);
    primary.join().unwrap();
    until("the failure is noticed", || {
        replica.log().contains("the primary closed the connection").then_some(())
    });
    assert_eq!(content(&replica, 2), before);
}

#[test]
fn wait_counts_the_replicas_that_have_the_write() {
    let root = tempfile::tempdir().unwrap();
    let primary = Server::ours(root.path(), &[]);
    let ours = Server::ours(root.path(), &[]);
    let stock = Server::stock(root.path(), &[]);
    assert_eq!(primary.ask("WAIT 0 0"), "0");
    for replica in [&ours, &stock] {
        follow(replica, primary.port);
        wait_up(replica);
    }
    until("both are online", || (primary.ask("WAIT 2 1000") == "2").then_some(()));
    let mut client = primary.connect();
    client.call(&["SET", "a", "1"]).unwrap();
    assert_eq!(client.call(&["WAIT", "2", "5000"]).unwrap(), "2");
    assert_eq!(ours.ask("GET a"), "1");
    assert_eq!(client.call(&["WAIT", "3", "200"]).unwrap(), "2", "and no more come");
    assert!(ours.ask("WAIT 0 0").starts_with("-ERR WAIT cannot be used with replica"));
}

#[test]
fn a_replica_refuses_writes_and_tells_its_role() {
    let root = tempfile::tempdir().unwrap();
    let primary = Server::ours(root.path(), &[]);
    let replica = Server::ours(root.path(), &[]);
    follow(&replica, primary.port);
    wait_up(&replica);
    assert!(replica.ask("SET a 1").starts_with("-READONLY"));
    let role = replica.ask("ROLE");
    assert!(role.starts_with(&format!("[slave, 127.0.0.1, {}, connected,", primary.port)));
    assert!(primary.ask("ROLE").contains(&replica.port.to_string()));
    assert_eq!(replica.ask("REPLICAOF NO ONE"), "OK");
    assert_eq!(replica.ask("SET a 1"), "OK");
}

#[test]
fn too_few_replicas_refuse_writes_when_asked_to() {
    let root = tempfile::tempdir().unwrap();
    let primary = Server::ours(root.path(), &["--min-replicas-to-write", "1"]);
    assert_eq!(primary.ask("SET a 1"), "-NOREPLICAS Not enough good replicas to write.");
    let replica = Server::ours(root.path(), &[]);
    follow(&replica, primary.port);
    until("a replica is enough", || (primary.ask("SET a 1") == "OK").then_some(()));
}

#[test]
fn a_replica_with_a_file_holds_its_primarys_data_after_a_crash() {
    let root = tempfile::tempdir().unwrap();
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    let primary = Server::ours(root.path(), &[]);
    let mut replica = Server::ours(root.path(), &always);
    fill(&replica, 5000, 5100);
    fill(&primary, 0, 300);
    follow(&replica, primary.port);
    wait_up(&replica);
    until("the new base is written", || (replica.info("aof_rewrites") == "1").then_some(()));
    let mut client = primary.connect();
    for words in ["SELECT 1", "MULTI", "SET a 1", "LPUSH l x y", "EXEC", "SELECT 0", "SET b 2"] {
        client.call(&words.split(' ').collect::<Vec<_>>()).unwrap();
    }
    wait_equal(&primary, &replica);
    until("the file is synced", || (replica.info("aof_pending_bio_fsync") == "0").then_some(()));
    replica.kill();
    replica.restart();
    assert_eq!(content(&replica, 2), content(&primary, 2));
}

#[test]
fn writes_during_a_full_sync_arrive_once_and_in_order() {
    let root = tempfile::tempdir().unwrap();
    let primary = Server::ours(root.path(), &[]);
    let replicas = [Server::ours(root.path(), &[]), Server::stock(root.path(), &[])];
    fill(&primary, 0, 20_000);
    let stop = Arc::new(AtomicBool::new(false));
    let (port, stopped) = (primary.port, Arc::clone(&stop));
    let writer = std::thread::spawn(move || {
        let mut client = Connection::open(port).unwrap();
        let mut count = 0;
        while !stopped.load(Ordering::Relaxed) {
            client.call(&["RPUSH", "log", &count.to_string()]).unwrap();
            client.call(&["SET", &format!("string:{}", count % 20_000), "new"]).unwrap();
            client.call(&["DEL", &format!("number:{}", count % 20_000)]).unwrap();
            count += 1;
        }
        count
    });
    for replica in &replicas {
        follow(replica, primary.port);
        wait_up(replica);
    }
    stop.store(true, Ordering::Relaxed);
    let count: usize = writer.join().unwrap();
    for replica in &replicas {
        wait_equal(&primary, replica);
        assert_eq!(replica.ask("LLEN log"), count.to_string());
    }
}
