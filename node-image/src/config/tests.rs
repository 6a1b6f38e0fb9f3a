//! Promises of the configuration.

use super::*;

fn config(args: &[&str]) -> Result<Config, file::ConfigError> {
    file::from_args(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
}

#[test]
fn every_default_of_the_table_can_be_read_and_stands_in_its_place() {
    for (at, directive) in TABLE.iter().enumerate() {
        assert_eq!(directive.id as usize, at, "{}", directive.name);
        let words: Vec<&str> = match directive.kind {
            Kind::Text => vec![directive.default],
            _ => directive.default.split_whitespace().collect(),
        };
        let read = directive.kind.parse(&words, &Value::Text(String::new()));
        assert!(read.is_ok(), "{}: {read:?}", directive.name);
    }
}

#[test]
fn no_name_is_used_twice() {
    let mut names: Vec<&str> = TABLE.iter().map(|directive| directive.name).collect();
    names.extend(TABLE.iter().map(|directive| directive.alias).filter(|alias| !alias.is_empty()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_command_line_wins_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.conf");
    std::fs::write(&path, "# a comment\nport 7000\nmaxmemory 1mb\nsave 10 1\nsave 20 2\n").unwrap();
    let config = config(&[path.to_str().unwrap(), "--port", "7001"]).unwrap();
    assert_eq!(config.int(Name::Port), 7001);
    assert_eq!(config.int(Name::Maxmemory), 1024 * 1024);
    assert_eq!(config.save_points(), [(10, 1), (20, 2)]);
    assert_eq!(config.bus_port(), 17001);
}

#[test]
fn an_included_file_is_read_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (outer, inner) = (dir.path().join("outer"), dir.path().join("inner"));
    std::fs::write(&inner, "port 7002\nhz 50\n").unwrap();
    std::fs::write(&outer, format!("port 1\ninclude {}\nhz 60\n", inner.display())).unwrap();
    let config = config(&[outer.to_str().unwrap()]).unwrap();
    assert_eq!((config.int(Name::Port), config.int(Name::Hz)), (7002, 60));
}

#[test]
fn an_unknown_directive_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.conf");
    std::fs::write(&path, "port 7000\n\nno-such-thing 1\n").unwrap();
    let error = config(&[path.to_str().unwrap()]).unwrap_err().to_string();
    assert!(error.contains("FATAL CONFIG FILE ERROR"), "{error}");
    assert!(error.contains("at line 3\n>>> 'no-such-thing 1'"), "{error}");
    assert!(config(&["--daemonize", "yes"]).is_err());
}

#[test]
fn a_password_comes_from_its_file_and_is_not_written_back() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, path) = (dir.path().join("secret"), dir.path().join("node.conf"));
    std::fs::write(&secret, "geheim\n").unwrap();
    std::fs::write(&path, format!("requirepass-file {}\n", secret.display())).unwrap();
    let config = config(&[path.to_str().unwrap()]).unwrap();
    assert_eq!(config.text(Name::Requirepass), "geheim");
    file::rewrite(&config, &[], false).unwrap();
    assert!(!std::fs::read_to_string(&path).unwrap().contains("geheim"));
}

#[test]
fn a_rewritten_file_reads_back_as_the_same_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.conf");
    std::fs::write(&path, "# keep me\nport 7000\nsave 10 1\nsave 20 2\n").unwrap();
    let mut first = config(&[path.to_str().unwrap()]).unwrap();
    let changes: &[(&str, &[&str])] = &[
        ("requirepass", &["a \"b\" \\ c#"]),
        ("save", &[""]),
        ("client-output-buffer-limit", &["pubsub 1mb 2kb 3"]),
        ("maxmemory-policy", &["allkeys-lru"]),
        ("maxmemory", &["3gb"]),
    ];
    for (name, words) in changes {
        first.set(table::find(name).unwrap(), words).unwrap();
    }
    file::rewrite(&first, &[], true).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# keep me\nport 7000\nsave \"\"\n"), "{text}");
    let second = config(&[path.to_str().unwrap()]).unwrap();
    for directive in TABLE {
        assert_eq!(first.shown(directive), second.shown(directive), "{}", directive.name);
    }
}

#[test]
fn numbers_outside_their_bounds_are_refused() {
    let mut config = Config::default();
    let port = table::find("PORT").unwrap();
    let error = config.set(port, &["65536"]).unwrap_err();
    assert_eq!(error, "argument must be between 0 and 65535 inclusive");
    assert!(config.set(port, &["x"]).is_err());
    assert!(config.set(table::find("appendonly").unwrap(), &["maybe"]).is_err());
    let policy = table::find("maxmemory-policy").unwrap();
    assert!(config.set(policy, &["first-come"]).unwrap_err().contains("must be one of"));
}

#[test]
fn limits_of_output_follow_each_change_of_their_directive() {
    let mut config = config(&["--client-output-buffer-limit", "replica 2mb 1mb 60"]).unwrap();
    assert_eq!(config.output_limit("slave"), (2 << 20, 1 << 20, 60));
    let directive = TABLE.iter().find(|d| d.id == Name::ClientOutputBufferLimit).unwrap();
    config.set(directive, &["normal", "5", "4", "3", "pubsub", "8", "7", "6"]).unwrap();
    assert_eq!(config.output_limit("slave"), (2 << 20, 1 << 20, 60));
    assert_eq!(config.clone().output_limit("normal"), (5, 4, 3));
    assert_eq!(config.output_limit("pubsub"), (8, 7, 6));
    assert_eq!(Config::default().output_limit("normal"), (0, 0, 0));
}
