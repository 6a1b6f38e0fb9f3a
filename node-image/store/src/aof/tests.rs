//! Promises of the manifest and of the commands in an increment.

use super::*;
use proptest::prelude::*;

const TWO: &str = "file appendonly.aof.3.base.rdb seq 3 type b\n\
                   file appendonly.aof.2.base.rdb seq 2 type h\n\
                   file appendonly.aof.7.incr.aof seq 7 type i\n";

#[test]
fn a_manifest_comes_back_as_it_was() {
    let manifest = Manifest::parse(TWO).unwrap();
    assert_eq!(manifest.text(), TWO);
    assert_eq!(manifest.base.as_ref().map(|base| base.seq), Some(3));
}

#[test]
fn names_with_blanks_and_quotes_come_back() {
    let name = "my \"odd\" \\ file.aof".to_owned();
    let file = AofFile { name, seq: 1, kind: FileKind::Increment };
    let manifest = Manifest { increments: vec![file], ..Manifest::default() };
    assert_eq!(Manifest::parse(&manifest.text()), Ok(manifest));
}

#[test]
fn a_rewrite_turns_everything_before_its_increment_into_history() {
    let set = Manifest::parse(TWO).unwrap().with_new_increment("appendonly.aof");
    let rewritten = set.with_base(set.next_base("appendonly.aof"), 8);
    assert_eq!(rewritten.base.as_ref().map(|b| b.name.as_str()), Some("appendonly.aof.4.base.rdb"));
    assert_eq!(rewritten.increments.iter().map(|i| i.seq).collect::<Vec<_>>(), [8]);
    let history: Vec<_> = rewritten.history.iter().map(|h| h.name.as_str()).collect();
    assert_eq!(
        history,
        ["appendonly.aof.2.base.rdb", "appendonly.aof.3.base.rdb", "appendonly.aof.7.incr.aof"]
    );
}

#[test]
fn a_manifest_that_means_nothing_is_refused_with_its_line() {
    for (text, problem) in [
        ("file a seq 1", "it needs file, seq and type"),
        ("file ../a seq 1 type b", "a file name has a path"),
        ("file a seq x type b", "seq is not a number"),
        ("file a seq 1 type q", "there is no such type"),
        ("file \"a seq 1 type b", "a quote is not closed"),
        ("file a seq", "a name has no value"),
    ] {
        let text = format!("# comment\n{text}\n");
        assert_eq!(Manifest::parse(&text), Err(ManifestError { line: 2, problem }));
    }
    let twice = "file a seq 1 type b\nfile b seq 2 type b\n";
    let problem = "there is more than one base";
    assert_eq!(Manifest::parse(twice), Err(ManifestError { line: 2, problem }));
    let back = "file a seq 2 type i\nfile b seq 1 type i\n";
    let problem = "the increments are not in order";
    assert_eq!(Manifest::parse(back), Err(ManifestError { line: 2, problem }));
}

#[test]
fn every_cut_of_a_command_is_incomplete_and_the_whole_is_the_command() {
    let mut bytes = Vec::new();
    let args = [&b"SET"[..], b"key", b"a\r\nb", b""];
    write_command(&mut bytes, &args);
    for cut in 0..bytes.len() {
        assert_eq!(read_command(&bytes[..cut]), Ok(Step::Incomplete), "cut at {cut}");
    }
    let args = args.iter().map(|arg| arg.to_vec()).collect();
    assert_eq!(read_command(&bytes), Ok(Step::Command(args, bytes.len())));
}

#[test]
fn annotations_are_told_apart() {
    assert_eq!(read_command(b"#TS:123\r\n*1\r\n"), Ok(Step::Annotation(9)));
    assert_eq!(read_command(b"#TS:123"), Ok(Step::Incomplete));
}

#[test]
fn damage_is_an_error_and_not_an_end() {
    for bytes in [
        &b"SET a b\r\n"[..],
        b"*0\r\n",
        b"*-1\r\n",
        b"*1\r\n$3\r\nabcd\r\n",
        b"*1\r\n:3\r\n",
        b"*1234567890123456",
        b"*\r\n",
    ] {
        assert!(read_command(bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = read_command(&bytes);
        let _ = Manifest::parse(&String::from_utf8_lossy(&bytes));
    }
}
