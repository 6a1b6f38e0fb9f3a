//! Scripts: what reaches the log, what a cluster lets them touch, and that no input ends the node.

use crate::effects::Recorded;
use crate::harness::{Node, eventually, text};

#[test]
fn a_script_is_one_transaction_of_its_single_effects_in_the_log() {
    let mut recorded = Recorded::start();
    let before = recorded.log().len();
    let script = "redis.call('set', KEYS[1], 'v') redis.call('incr', KEYS[2]) \
                  redis.call('get', KEYS[1]) redis.set_repl(redis.REPL_NONE) \
                  redis.call('set', 'unseen', 1) redis.set_repl(redis.REPL_ALL) \
                  redis.call('incrbyfloat', KEYS[2], 0.5)";
    recorded.client.call(&["EVAL", script, "2", "a", "n"]);
    recorded.client.call(&["EVAL", "redis.call('set', KEYS[1], 'w')", "1", "a"]);
    let log: Vec<String> =
        recorded.log().split_off(before).into_iter().filter(|l| !l.starts_with("SELECT")).collect();
    let wanted = ["MULTI", "SET a v", "incr n", "SET n 1.5 KEEPTTL", "EXEC", "SET a w"];
    assert_eq!(log, wanted);
}

#[test]
fn in_a_cluster_a_script_stays_in_the_slot_of_its_keys() {
    let node = Node::start(&["--cluster-enabled", "yes"]);
    let mut client = node.client();
    client.ask("CLUSTER ADDSLOTSRANGE 0 16383");
    eventually("it serves", || client.ask("GET a") == "nil");
    let mut eval = |script: &str, keys: &[&str]| {
        let count = keys.len().to_string();
        let args = [&["EVAL", script, &count], keys].concat();
        text(&client.call(&args))
    };
    assert_eq!(eval("return redis.call('set', KEYS[1], 1)", &["{t}a"]), "OK");
    assert_eq!(eval("return redis.call('set', '{t}b', 1)", &["{t}a"]), "OK");
    let crossed = "ERR Script attempted to access keys that do not hash to the same slot";
    let said = eval("return redis.call('set', 'elsewhere', 1)", &["{t}a"]);
    assert!(said.contains(crossed), "{said}");
    let said = eval("redis.call('get', 'a') return redis.call('get', 'b')", &[]);
    assert!(said.contains(crossed), "{said}");
    let allowed = "#!lua flags=allow-cross-slot-keys\n redis.call('set', 'a', 1) \
                   return redis.call('set', 'b', 1)";
    assert_eq!(eval(allowed, &[]), "OK");
    let said = eval("#!lua flags=no-cluster\n return 1", &[]);
    assert!(said.contains("Can not run script on cluster"), "{said}");
    assert!(eval("return 1", &["a", "b"]).contains("CROSSSLOT"));
}
