//! Promises of the set of files.

use holdfast_store::rdb::{Writer, WriterOptions};

use super::*;
use crate::aof::load::{LoadError, LoadOptions, Loaded, Loader};

fn names(dir: &Path) -> AofNames {
    AofNames {
        dir: dir.to_owned(),
        directory: "appendonlydir".into(),
        stem: "appendonly.aof".into(),
        snapshot: "dump.rdb".into(),
    }
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("appendonlydir")).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn load(names: &AofNames, cut_torn_tail: bool) -> Result<Vec<Loaded>, LoadError> {
    let manifest = find(names).unwrap().unwrap_or_default();
    let mut loader = Loader::of_set(names, &manifest, LoadOptions { cut_torn_tail });
    let mut all = Vec::new();
    while let Some(loaded) = loader.load_next()? {
        all.push(loaded);
    }
    let (read, total) = loader.progress();
    assert_eq!(read, total);
    Ok(all)
}

fn command(text: &str) -> Loaded {
    Loaded::Command(text.split(' ').map(|word| word.as_bytes().to_vec()).collect())
}

fn bytes(commands: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in commands {
        let words: Vec<_> = text.split(' ').collect();
        holdfast_store::aof::write_command(&mut out, &words);
    }
    out
}

/// A snapshot file with one key `base`.
fn snapshot(path: &Path) {
    let mut writer = Writer::new(WriterOptions::default());
    writer.string(b"base", None, b"1");
    writer.finish();
    fs::write(path, writer.take()).unwrap();
}

#[test]
fn what_was_appended_is_loaded_in_order_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    let mut set = AofSet::open(names.clone(), None).unwrap();
    set.append(&bytes(&["SET a 1"])).unwrap();
    drop(set);
    let mut set = AofSet::open(names.clone(), find(&names).unwrap()).unwrap();
    set.append(&bytes(&["SET b 2"])).unwrap();
    assert_eq!(load(&names, false).unwrap(), [command("SET a 1"), command("SET b 2")]);
}

#[test]
fn a_rewrite_replaces_everything_before_it_and_deletes_it() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    let mut set = AofSet::open(names.clone(), None).unwrap();
    set.append(&bytes(&["SET a 1"])).unwrap();
    set.next_increment().unwrap();
    let from = set.increment();
    set.append(&bytes(&["SET b 2"])).unwrap();
    // A crash here finds both increments.
    assert_eq!(load(&names, false).unwrap(), [command("SET a 1"), command("SET b 2")]);
    let temporary = set.temporary_base();
    snapshot(&temporary);
    set.adopt_base(&temporary, from).unwrap();
    let loaded = load(&names, false).unwrap();
    assert!(matches!(&loaded[..], [Loaded::Entry { key, .. }, second]
        if key == b"base" && *second == command("SET b 2")));
    assert_eq!(
        files(dir.path()),
        ["appendonly.aof.1.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"]
    );
}

#[test]
fn a_set_that_begins_while_running_counts_only_with_its_base() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    let mut set = AofSet::open_without_base(names.clone()).unwrap();
    set.append(&bytes(&["SET b 2"])).unwrap();
    assert_eq!(load(&names, false).unwrap(), []);
    let temporary = set.temporary_base();
    snapshot(&temporary);
    set.adopt_base(&temporary, set.increment()).unwrap();
    assert_eq!(load(&names, false).unwrap().len(), 2);
}

#[test]
fn every_torn_tail_is_cut_and_what_follows_is_appended_behind_the_cut() {
    let all = bytes(&["SET a 1", "MULTI", "SET b 2", "SET c 3", "EXEC", "SET d 4"]);
    let first = bytes(&["SET a 1"]).len();
    let unit = bytes(&["SET a 1", "MULTI", "SET b 2", "SET c 3", "EXEC"]).len();
    for cut in 1..all.len() {
        let dir = tempfile::tempdir().unwrap();
        let names = names(dir.path());
        let mut set = AofSet::open(names.clone(), None).unwrap();
        set.append(&all[..cut]).unwrap();
        let whole = if cut < first {
            0
        } else if cut < unit {
            first
        } else {
            unit
        };
        if cut != whole {
            let offset = load(&names, false).unwrap_err();
            assert!(
                matches!(offset, LoadError::Truncated { offset, .. } if offset == whole as u64),
                "cut at {cut}: {offset}"
            );
        }
        let count = [0, first, unit].iter().position(|at| *at == whole).unwrap();
        let expected = [0, 1, 3][count];
        assert_eq!(load(&names, true).unwrap().len(), expected, "cut at {cut}");
        set.append(&bytes(&["SET e 5"])).unwrap();
        assert_eq!(load(&names, false).unwrap().len(), expected + 1, "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_is_refused_with_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    let mut set = AofSet::open(names.clone(), None).unwrap();
    let good = bytes(&["SET a 1"]);
    set.append(&good).unwrap();
    set.append(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n!1\r\n2\r\n").unwrap();
    set.append(&good).unwrap();
    let error = load(&names, true).unwrap_err();
    assert!(
        matches!(error, LoadError::Damaged { offset, .. } if offset == good.len() as u64),
        "{error}"
    );
}

#[test]
fn a_torn_file_that_is_not_the_last_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    let mut set = AofSet::open(names.clone(), None).unwrap();
    set.append(b"*3\r\n$3\r\nSET\r\n").unwrap();
    set.next_increment().unwrap();
    assert!(matches!(load(&names, true), Err(LoadError::Truncated { offset: 0, .. })));
}

#[test]
fn a_file_of_the_manifest_that_is_gone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    drop(AofSet::open(names.clone(), None).unwrap());
    fs::remove_file(names.path("appendonly.aof.1.incr.aof")).unwrap();
    assert!(matches!(find(&names), Err(AofError::Missing { .. })));
}

#[test]
fn a_snapshot_without_a_set_is_its_first_base() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    snapshot(&dir.path().join("dump.rdb"));
    assert_eq!(load(&names, false).unwrap().len(), 1);
    let set = AofSet::open(names.clone(), find(&names).unwrap()).unwrap();
    assert_eq!(set.increment(), 1);
    assert!(dir.path().join("dump.rdb").exists());
}

#[test]
fn a_single_file_from_before_manifests_is_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let names = names(dir.path());
    fs::write(dir.path().join("appendonly.aof"), bytes(&["SET a 1"])).unwrap();
    assert_eq!(load(&names, false).unwrap(), [command("SET a 1")]);
}
