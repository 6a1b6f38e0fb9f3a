//! The snapshot file: written while serving, read by us and by stock servers.

use std::process::Command;

use super::servers::{Server, content, fill, until};

fn dump(server: &Server) -> std::path::PathBuf {
    server.dir.join("dump.rdb")
}

fn assert_checked(server: &Server) {
    let output = Command::new("redis-check-rdb").arg(dump(server)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("RDB looks OK"), "{said}");
}

#[test]
fn what_save_wrote_is_loaded_by_us_and_by_a_stock_server_and_back() {
    let root = tempfile::tempdir().unwrap();
    let mut ours = Server::ours(root.path(), &[]);
    fill(&ours, 0, 1000);
    assert_eq!(ours.ask("COPY string:1 other DB 1"), "1");
    ours.connect().call(&["SET", "long", &"abc".repeat(100_000)]).unwrap();
    let before = content(&ours, 2);
    assert_eq!(ours.ask("SAVE"), "OK");
    assert_checked(&ours);
    ours.kill();
    ours.restart();
    assert_eq!(content(&ours, 2), before);

    let mut stock = Server::stock(root.path(), &[]);
    stock.kill();
    std::fs::copy(dump(&ours), dump(&stock)).unwrap();
    stock.restart();
    assert_eq!(content(&stock, 2), before);
    fill(&stock, 1000, 1100);
    assert_eq!(stock.ask("SAVE"), "OK");
    let after = content(&stock, 2);
    ours.kill();
    std::fs::copy(dump(&stock), dump(&ours)).unwrap();
    ours.restart();
    assert_eq!(content(&ours, 2), after);
}

#[test]
fn bgsave_holds_the_moment_of_its_begin_although_writes_go_on() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), &[]);
    fill(&server, 0, 5000);
    let before = content(&server, 2);
    let mut client = server.connect();
    // In one write, so that nothing comes between.
    let mut requests = holdfast_wire::resp::request::encode(&["BGSAVE"]);
    for n in 0..5000 {
        let key = format!("string:{n}");
        requests.extend(holdfast_wire::resp::request::encode(&["SET", &key, "later"]));
        requests.extend(holdfast_wire::resp::request::encode(&["DEL", &format!("number:{n}")]));
    }
    requests.extend(holdfast_wire::resp::request::encode(&["DEL", "list:1", "hash:1"]));
    client.pipeline(&requests, 10_002);
    until("the snapshot is saved", || (server.info("rdb_saves") == "1").then_some(()));
    assert_checked(&server);
    server.kill();
    server.restart();
    assert_eq!(content(&server, 2), before);
}

#[test]
fn a_save_point_saves_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::ours(root.path(), &["--save", "1 10"]);
    fill(&server, 0, 10);
    until("it is saved", || dump(&server).exists().then_some(()));
    assert_checked(&server);
}

#[test]
fn a_snapshot_with_what_we_cannot_hold_ends_the_start_with_its_key() {
    let root = tempfile::tempdir().unwrap();
    let mut ours = Server::ours(root.path(), &[]);
    ours.kill();
    // A value of a module.
    std::fs::write(dump(&ours), b"REDIS0010\xfe\x00\x07\x04tags\x81").unwrap();
    ours.launch();
    assert_eq!(ours.exit_code(), Some(1));
    let log = ours.log();
    assert!(log.contains("'tags'") && log.contains("cannot hold a module"), "{log}");
}

#[test]
fn a_flipped_bit_in_the_snapshot_ends_the_start() {
    let root = tempfile::tempdir().unwrap();
    let mut server = Server::ours(root.path(), &[]);
    fill(&server, 0, 100);
    assert_eq!(server.ask("SAVE"), "OK");
    server.kill();
    let mut bytes = std::fs::read(dump(&server)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(dump(&server), bytes).unwrap();
    server.launch();
    assert_eq!(server.exit_code(), Some(1), "{}", server.log());
}

#[test]
fn writes_are_refused_after_a_snapshot_failed_and_allowed_after_one_succeeds() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::ours(root.path(), &["--save", "3600 1"]);
    server.ask("SET a 1");
    let blocker = dump(&server);
    // A directory of that name cannot be replaced by a file, whoever runs the test.
    std::fs::create_dir(&blocker).unwrap();
    assert!(server.ask("BGSAVE").starts_with("Background"));
    until("the failure is known", || {
        (server.info("rdb_last_bgsave_status") == "err").then_some(())
    });
    assert!(server.ask("SET a 2").starts_with("-MISCONF Redis is configured to save RDB"));
    assert_eq!(server.ask("GET a"), "1");
    std::fs::remove_dir(&blocker).unwrap();
    server.ask("BGSAVE");
    until("writes are allowed again", || (server.ask("SET a 2") == "OK").then_some(()));
}
