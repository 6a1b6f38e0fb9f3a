//! Streams go through files and replication links unchanged, with us on either side.

use std::path::Path;

use super::servers::{Server, until};

/// Streams with holes, groups, and entries that are pending with several consumers. 300 entries
/// make several nodes, in which trimming and deleting left marks.
fn fill_streams(server: &Server) {
    let mut client = server.connect();
    let mut say = |words: String| {
        let words: Vec<&str> = words.split(' ').collect();
        let reply = client.call(&words).unwrap();
        assert!(!reply.starts_with('-'), "{words:?}: {reply}");
    };
    for n in 1..=300 {
        let same = if n % 7 == 0 { "other 1 field" } else { "field" };
        say(format!("XADD s {n}-1 {same} value-{n}"));
    }
    say("XTRIM s MAXLEN = 250".into());
    say("XTRIM s MAXLEN ~ 200".into());
    say("XDEL s 120-1 130-1 300-1".into());
    say("XADD s 400-* field -70000".into());
    say("XGROUP CREATE s readers 0".into());
    say("XGROUP CREATE s late $ ENTRIESREAD 7".into());
    say("XREADGROUP GROUP readers ann COUNT 30 STREAMS s >".into());
    say("XREADGROUP GROUP readers bob COUNT 20 STREAMS s >".into());
    say("XREADGROUP GROUP readers cat COUNT 5 NOACK STREAMS s >".into());
    say("XGROUP CREATECONSUMER s late idle".into());
    say("XACK s readers 125-1 126-1".into());
    say("XCLAIM s readers bob 0 127-1 128-1 RETRYCOUNT 9 TIME 1000".into());
    say("XDEL s 127-1".into());
    say("XAUTOCLAIM s readers dan 0 140-1 COUNT 3".into());
    say("XADD clock MAXLEN ~ 10 * field value".into());
    say("XGROUP CREATE empty g $ MKSTREAM".into());
    say("XSETID empty 77-7 ENTRIESADDED 100 MAXDELETEDID 5-5".into());
}

fn told(server: &Server, questions: &[&str]) -> String {
    let answers: Vec<String> = questions.iter().map(|words| server.ask(words)).collect();
    answers.join("\n")
}

/// Everything there is to tell.
fn all_of(server: &Server) -> String {
    told(
        server,
        &[
            "XINFO STREAM s FULL COUNT 0",
            "XINFO STREAM s",
            "XINFO STREAM clock FULL COUNT 0",
            "XINFO STREAM empty FULL COUNT 0",
        ],
    )
}

/// What replicas are told: all but when consumers were last heard of.
fn replicated(server: &Server) -> String {
    told(
        server,
        &[
            "XRANGE s - +",
            "XINFO STREAM s",
            "XINFO GROUPS s",
            "XPENDING s readers",
            "XINFO STREAM clock",
            "XINFO STREAM empty",
            "XINFO GROUPS empty",
        ],
    )
}

/// One server saves, the other one loads.
fn hand_over(from: &Server, to: &mut Server) {
    fill_streams(from);
    assert!(from.ask("SAVE").contains("OK"));
    let before = all_of(from);
    to.kill();
    std::fs::copy(from.dir.join("dump.rdb"), to.dir.join("dump.rdb")).unwrap();
    to.restart();
    assert_eq!(all_of(to), before);
}

#[test]
fn a_stock_server_loads_our_streams_and_we_load_its_streams() {
    let root = tempfile::tempdir().unwrap();
    let ours = |root: &Path| Server::ours(root, &[]);
    hand_over(&ours(root.path()), &mut Server::stock(root.path(), &[]));
    hand_over(&Server::stock(root.path(), &[]), &mut ours(root.path()));
    hand_over(&ours(root.path()), &mut ours(root.path()));
}

fn follow_and_compare(primary: &Server, replica: &Server) {
    let follows = format!("REPLICAOF 127.0.0.1 {}", primary.port);
    assert!(replica.ask(&follows).starts_with("OK"));
    until("the link is up", || (replica.info("master_link_status") == "up").then_some(()));
    fill_streams(primary);
    let wanted = replicated(primary);
    until("the replica has it all", || {
        let offset = primary.info("master_repl_offset");
        (replica.info("slave_repl_offset") == offset).then_some(())
    });
    assert_eq!(replicated(replica), wanted);
}

#[test]
fn a_stock_replica_and_one_of_ours_follow_our_streams() {
    let root = tempfile::tempdir().unwrap();
    follow_and_compare(&Server::ours(root.path(), &[]), &Server::stock(root.path(), &[]));
    follow_and_compare(&Server::ours(root.path(), &[]), &Server::ours(root.path(), &[]));
}

#[test]
fn the_append_only_file_brings_streams_back() {
    let root = tempfile::tempdir().unwrap();
    let mut always = vec!["--appendonly", "yes", "--appendfsync", "always"];
    always.extend(["--enable-debug-command", "yes"]);
    let mut server = Server::ours(root.path(), &always);
    fill_streams(&server);
    let before = replicated(&server);
    assert_eq!(server.ask("DEBUG LOADAOF"), "OK");
    assert_eq!(replicated(&server), before);
    server.kill();
    server.restart();
    assert_eq!(replicated(&server), before);
}
