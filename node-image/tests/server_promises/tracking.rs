//! Client-side caching, and MONITOR.

use holdfast_wire::resp::value::Value;

use crate::harness::{Client, Node, eventually, info, text};

/// A push as words.
fn push(client: &mut Client) -> String {
    match client.receive() {
        Value::Push(words) => words.iter().map(text).collect::<Vec<_>>().join(" "),
        other => panic!("not a push: {other:?}"),
    }
}

fn in_resp3(node: &Node, tracking: &str) -> Client {
    let mut client = node.client();
    client.ask("HELLO 3");
    assert_eq!(client.ask(&format!("CLIENT TRACKING {tracking}")), "OK");
    client
}

#[test]
fn who_has_read_a_key_is_told_once_that_it_changed() {
    let node = Node::start(&[]);
    let (mut reader, mut writer) = (in_resp3(&node, "ON"), node.client());
    reader.ask("MGET a b");
    assert_eq!(info(&mut writer, "tracking_total_items"), "2");
    writer.ask("SET a 1");
    assert_eq!(push(&mut reader), "invalidate [a]");
    writer.ask("SET a 2");
    writer.ask("SET never-read 2");
    assert_eq!(reader.ask("SET b 1"), "OK");
    assert_eq!(push(&mut reader), "invalidate [b]");
    reader.ask("GET b");
    writer.ask("PEXPIRE b 1");
    assert_eq!(push(&mut reader), "invalidate [b]");
    reader.ask("GET c");
    writer.ask("FLUSHALL");
    assert_eq!(push(&mut reader), "invalidate nil");
    assert_eq!(info(&mut writer, "tracking_total_keys"), "0");
    assert_eq!(reader.ask("CLIENT TRACKING OFF"), "OK");
    assert_eq!(info(&mut writer, "tracking_clients"), "0");
    reader.ask("GET c");
    writer.ask("SET c 1");
    assert_eq!(reader.ask("PING"), "PONG");
}

#[test]
fn another_connection_may_be_told_also_in_resp2() {
    let node = Node::start(&[]);
    let (mut ears, mut reader, mut writer) = (node.client(), node.client(), node.client());
    let id = ears.ask("CLIENT ID");
    ears.ask("SUBSCRIBE __redis__:invalidate");
    assert_eq!(reader.ask(&format!("CLIENT TRACKING ON REDIRECT {id}")), "OK");
    assert_eq!(reader.ask("CLIENT GETREDIR"), id);
    reader.ask("GET k");
    writer.ask("SET k v");
    assert_eq!(text(&ears.receive()), "[message __redis__:invalidate [k]]");
    drop(ears);
    eventually("it has gone", || !writer.ask("CLIENT LIST").contains(&format!("id={id} ")));
    reader.ask("GET k");
    writer.ask("SET k w");
    assert!(reader.ask("CLIENT TRACKINGINFO").contains("broken_redirect"));
}

#[test]
fn broadcasts_tell_of_prefixes_without_any_read_and_a_turns_keys_together() {
    let node = Node::start(&[]);
    let mut ears = in_resp3(&node, "ON BCAST PREFIX user: PREFIX job:");
    let mut own = in_resp3(&node, "ON BCAST NOLOOP");
    let mut writer = node.client();
    writer.ask("MSET user:2 a user:1 b other c");
    assert_eq!(push(&mut ears), "invalidate [user:1 user:2]");
    assert_eq!(push(&mut own), "invalidate [other user:1 user:2]");
    own.ask("SET user:1 x");
    assert_eq!(own.ask("PING"), "PONG");
    assert_eq!(push(&mut ears), "invalidate [user:1]");
    let overlap = ears.ask("CLIENT TRACKING ON BCAST PREFIX user:1");
    assert!(overlap.contains("overlaps with an existing prefix 'user:'"), "{overlap}");
}

#[test]
fn what_is_remembered_can_be_chosen_command_by_command() {
    let node = Node::start(&[]);
    let (mut opt_in, mut opt_out) = (in_resp3(&node, "ON OPTIN"), in_resp3(&node, "ON OPTOUT"));
    let mut writer = node.client();
    opt_in.ask("GET a");
    assert_eq!(opt_in.ask("CLIENT CACHING YES"), "OK");
    opt_in.ask("GET b");
    opt_in.ask("GET c");
    assert_eq!(opt_out.ask("CLIENT CACHING NO"), "OK");
    opt_out.ask("GET a");
    opt_out.ask("GET c");
    writer.ask("MSET a 1 b 1 c 1");
    assert_eq!(push(&mut opt_in), "invalidate [b]");
    assert_eq!(push(&mut opt_out), "invalidate [c]");
    assert!(opt_out.ask("CLIENT CACHING YES").starts_with("-ERR CLIENT CACHING YES is only"));
}

#[test]
fn a_full_table_forgets_keys_and_says_so() {
    let node = Node::start(&["--tracking-table-max-keys", "10"]);
    let mut reader = in_resp3(&node, "ON");
    for key in 0..10 {
        reader.ask(&format!("GET {key}"));
    }
    reader.ask("GET one-too-many");
    assert!(push(&mut reader).starts_with("invalidate ["));
    assert_eq!(reader.ask("PING"), "PONG");
    let mut other = node.client();
    assert_eq!(info(&mut other, "tracking_total_keys"), "10");
}

#[test]
fn a_monitor_sees_what_runs_but_no_secrets() {
    let node = Node::start(&[]);
    let (mut monitor, mut other) = (node.client(), node.client());
    assert_eq!(monitor.ask("MONITOR"), "OK");
    other.ask("SET k a\"b");
    other.ask("AUTH secret");
    other.ask("CONFIG GET port");
    other.ask("MULTI");
    other.ask("GET k");
    other.ask("EXEC");
    let mut lines = (0..5).map(|_| text(&monitor.receive())).collect::<Vec<_>>();
    for line in &mut lines {
        *line = line.split_once("] ").unwrap().1.to_owned();
    }
    let wanted = [
        r#""SET" "k" "a\"b""#,
        r#""AUTH" "(redacted)""#,
        r#""MULTI""#,
        r#""GET" "k""#,
        r#""EXEC""#,
    ];
    assert_eq!(lines, wanted);
    assert_eq!(monitor.ask("RESET"), "RESET");
    other.ask("GET k");
    assert_eq!(monitor.ask("PING"), "PONG");
}

#[test]
fn a_script_that_reads_has_read_the_keys_that_it_declared() {
    let node = Node::start(&[]);
    let (mut reader, mut writer) = (in_resp3(&node, "ON"), node.client());
    reader.call(&["EVAL", "redis.call('set', 'k', 'v')", "1", "written"]);
    reader.call(&["EVAL", "return redis.call('get', KEYS[1])", "1", "read"]);
    writer.ask("MSET written 1 read 1");
    assert_eq!(push(&mut reader), "invalidate [read]");
    assert_eq!(reader.ask("PING"), "PONG");
}
