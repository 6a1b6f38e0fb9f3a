//! The append-only file: what was acknowledged is there after a crash.

use std::io::Write;

use super::servers::{Server, content, fill, until};

const ALWAYS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

fn increment(server: &Server, seq: u32) -> std::path::PathBuf {
    server.dir.join(format!("appendonlydir/appendonly.aof.{seq}.incr.aof"))
}

#[test]
fn every_acknowledged_write_is_there_after_kill_9() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), ALWAYS);
    for round in 0..3 {
        fill(&server, round * 200, round * 200 + 200);
        server.ask(&format!("SET last {round}"));
        let before = content(&server, 2);
        server.kill();
        server.restart();
        assert_eq!(content(&server, 2), before);
    }
}

#[test]
fn databases_transactions_and_relative_expiries_come_back_as_they_were() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), ALWAYS);
    let mut client = server.connect();
    for words in [
        "SELECT 1",
        "SET there x EX 1000",
        "MULTI",
        "INCR a",
        "RPUSH l 1 2 3",
        "EXEC",
        "SELECT 0",
        "SET here y PX 100000",
        "SET gone z PX 1",
        "LPOP nothing",
        "COPY here copy DB 1",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let reply = client.call(&words).unwrap();
        assert!(!reply.starts_with('-'), "{words:?}: {reply}");
    }
    until("the short one is over", || (server.ask("EXISTS gone") == "0").then_some(()));
    let before = content(&server, 2);
    server.kill();
    server.restart();
    assert_eq!(content(&server, 2), before);
}

#[test]
fn a_torn_tail_is_cut_and_said_and_writing_goes_on_behind_it() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), ALWAYS);
    server.ask("SET a 1");
    server.kill();
    let mut file = std::fs::File::options().append(true).open(increment(&server, 1)).unwrap();
    file.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$10\r\nhal").unwrap();
    server.restart();
    assert_eq!(server.ask("GET a"), "1");
    assert_eq!(server.ask("EXISTS b"), "0");
    assert!(server.log().contains("is cut at offset"), "{}", server.log());
    server.ask("SET c 3");
    server.kill();
    server.restart();
    assert_eq!(server.ask("MGET a c"), "[1, 3]");
}

#[test]
fn damage_in_the_middle_ends_the_start_with_its_offset() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), ALWAYS);
    for n in 0..20 {
        server.ask(&format!("SET key{n} value"));
    }
    server.kill();
    let path = increment(&server, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    // The header of an argument in the middle.
    let at = (bytes.len() / 2..bytes.len()).find(|at| bytes[*at] == b'$').unwrap();
    bytes[at] = b'!';
    std::fs::write(&path, bytes).unwrap();
    server.launch();
    assert_eq!(server.exit_code(), Some(1));
    assert!(server.log().contains("Bad file format"), "{}", server.log());
    assert!(server.log().contains("at offset"), "{}", server.log());
}

#[test]
fn a_rewrite_shrinks_the_file_while_writes_go_on_and_loses_none() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), &["--appendonly", "yes"]);
    fill(&server, 0, 3000);
    for _ in 0..500 {
        server.ask("INCR counter");
    }
    for round in 0..3 {
        assert!(server.ask("BGREWRITEAOF").starts_with("Background"));
        fill(&server, 3000 + round * 200, 3200 + round * 200);
        until("the rewrite is done", || {
            (server.info("aof_rewrites") == (round + 1).to_string()).then_some(())
        });
    }
    assert_eq!(server.info("aof_last_bgrewrite_status"), "ok");
    let names: Vec<String> = std::fs::read_dir(server.dir.join("appendonlydir"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "manifest, base and increment: {names:?}");
    let before = content(&server, 2);
    server.terminate();
    server.restart();
    assert_eq!(content(&server, 2), before);
}

#[test]
fn a_stock_server_loads_our_files_and_we_load_its_files() {
    let root = tempfile::tempdir().unwrap();
    let mut ours = Server::ours(root.path(), ALWAYS);
    fill(&ours, 0, 500);
    ours.ask("BGREWRITEAOF");
    until("the rewrite is done", || (ours.info("aof_rewrites") == "1").then_some(()));
    fill(&ours, 500, 600);
    let before = content(&ours, 2);
    ours.terminate();
    let mut stock = Server::stock(root.path(), &[]);
    stock.terminate();
    let copy = |from: &Server, to: &Server| {
        let target = to.dir.join("appendonlydir");
        drop(std::fs::remove_dir_all(&target));
        std::fs::create_dir_all(&target).unwrap();
        for entry in std::fs::read_dir(from.dir.join("appendonlydir")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
        }
    };
    copy(&ours, &stock);
    stock.add_args(&["--appendonly", "yes"]);
    stock.restart();
    assert_eq!(content(&stock, 2), before);
    fill(&stock, 600, 700);
    let after = content(&stock, 2);
    stock.terminate();
    copy(&stock, &ours);
    ours.restart();
    assert_eq!(content(&ours, 2), after);
}

#[test]
fn switched_on_while_running_it_holds_everything_from_then_on() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), &[]);
    fill(&server, 0, 300);
    assert_eq!(server.ask("CONFIG SET appendonly yes"), "OK");
    until("the first base is written", || (server.info("aof_rewrites") == "1").then_some(()));
    assert_eq!(server.ask("CONFIG SET appendfsync always"), "OK");
    fill(&server, 300, 400);
    let before = content(&server, 2);
    server.kill();
    server.add_args(&["--appendonly", "yes"]);
    server.restart();
    assert_eq!(content(&server, 2), before);
}

#[test]
fn while_it_loads_the_node_says_so_and_serves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), &["--appendonly", "yes"]);
    fill(&server, 0, 40_000);
    server.terminate();
    server.launch();
    let mut seen = false;
    until("it is loaded", || {
        let mut client = super::servers::Connection::open(server.port).ok()?;
        let reply = client.call(&["GET", "string:1"]).ok()?;
        seen |= reply.starts_with("-LOADING");
        (!reply.starts_with('-')).then_some(())
    });
    assert!(seen, "the load was too short to see");
    assert_eq!(server.ask("GET number:39999"), "39999");
}

/// Lets the next increment be a device that refuses something.
fn next_increment_is(server: &Server, device: &str) {
    std::os::unix::fs::symlink(device, increment(server, 2)).unwrap();
    assert!(server.ask("BGREWRITEAOF").starts_with("Background"));
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_reading() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::ours(root.path(), &["--appendonly", "yes"]);
    server.ask("SET a 1");
    next_increment_is(&server, "/dev/full");
    let refusal = "-MISCONF Errors writing to the AOF file: No space left on device";
    until("writes are refused", || server.ask("SET b 2").starts_with(refusal).then_some(()));
    assert_eq!(server.ask("GET a"), "1");
    assert_eq!(server.info("aof_last_write_status"), "err");
}

#[test]
fn after_a_failed_fsync_nothing_is_acknowledged_and_the_node_ends() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), ALWAYS);
    server.ask("SET a 1");
    // It takes every byte, and cannot be synced.
    next_increment_is(&server, "/dev/null");
    until("the increment is there", || (server.info("aof_rewrites") != "0").then_some(()));
    let reply = server.connect().call(&["SET", "b", "2"]);
    assert!(reply.is_err(), "acknowledged: {reply:?}");
    assert_eq!(server.exit_code(), Some(1), "{}", server.log());
    assert!(server.log().contains("failed to sync the append only file"), "{}", server.log());
}
