//! The configuration file, the command line, CONFIG.

use crate::harness::{Node, run_to_end};

#[test]
fn an_unknown_directive_ends_the_start_and_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.conf");
    std::fs::write(&path, "# fine\nport 0\nno-such-directive yes\n").unwrap();
    let output = run_to_end(&[path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("FATAL CONFIG FILE ERROR"), "{error}");
    assert!(error.contains("line 3") && error.contains("no-such-directive"), "{error}");
    let output = run_to_end(&["--maxmemory", "lots"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("maxmemory lots"));
}

#[test]
fn a_port_that_is_taken_ends_the_start() {
    let node = Node::start(&[]);
    let port = node.port.to_string();
    let path = node.path().to_str().unwrap();
    let output = run_to_end(&["--port", &port, "--bind", "127.0.0.1", "--dir", path]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains("Failed listening on port"), "{log}");
}

#[test]
fn config_get_takes_patterns_and_aliases() {
    let node = Node::start(&["--slave-read-only", "no"]);
    let mut client = node.client();
    assert_eq!(client.ask("CONFIG GET replica-read-only"), "[replica-read-only no]");
    assert_eq!(client.ask("CONFIG GET SLAVE-READ-ONLY"), "[slave-read-only no]");
    assert_eq!(
        client.ask("CONFIG GET hash-max-listpack-*"),
        "[hash-max-listpack-entries 512 hash-max-listpack-value 64]"
    );
    assert_eq!(client.ask("CONFIG GET no-such-*"), "[]");
}

#[test]
fn config_set_changes_all_or_nothing() {
    let node = Node::start(&[]);
    let mut client = node.client();
    assert_eq!(client.ask("CONFIG SET maxmemory 1mb maxclients 77"), "OK");
    assert_eq!(client.ask("CONFIG GET maxmemory"), "[maxmemory 1048576]");
    let refused = client.ask("CONFIG SET maxmemory 2mb maxclients many");
    assert_eq!(
        refused,
        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't \
         be parsed into an integer"
    );
    assert_eq!(client.ask("CONFIG GET maxmemory"), "[maxmemory 1048576]");
    assert!(client.ask("CONFIG SET databases 5").contains("can't set immutable config"));
    assert!(client.ask("CONFIG SET dir /").contains("can't set protected config"));
    assert!(client.ask("CONFIG SET nonsense 5").starts_with("-ERR Unknown option"));
}

#[test]
fn a_rewritten_file_starts_the_same_node() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.conf");
    std::fs::write(&path, "# kept\nmaxmemory 1mb\n").unwrap();
    let node = Node::start(&[path.to_str().unwrap()]);
    let mut client = node.client();
    assert_eq!(client.ask("CONFIG SET maxmemory 2mb timeout 33"), "OK");
    assert_eq!(client.ask("CONFIG REWRITE"), "OK");
    drop(node);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# kept\nmaxmemory 2097152\n"), "{text}");
    let node = Node::start(&[path.to_str().unwrap()]);
    assert_eq!(node.client().ask("CONFIG GET timeout"), "[timeout 33]");
    let unnamed = Node::start(&[]);
    assert_eq!(
        unnamed.client().ask("CONFIG REWRITE"),
        "-ERR The server is running without a config file"
    );
}

#[test]
fn debug_is_off_unless_it_is_asked_for() {
    let node = Node::start(&[]);
    assert!(node.client().ask("DEBUG SLEEP 100").starts_with("-ERR DEBUG command not allowed"));
}
