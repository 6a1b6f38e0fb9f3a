//! What may enter the dependency tree: licences, banned crates and sources, as `deny.toml` lists
//! them for `cargo deny`. Here they are checked without that tool, so that every run does it.
//! Not known here: advisories, which only the tool's database tells.

use std::process::Command;

use super::sources::root;

/// The quoted words of a list in deny.toml, from a line that begins with `key` to the `]`.
fn listed(key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    let lines = text.lines().skip_while(|line| !line.starts_with(key)).skip(1);
    let words = lines.take_while(|line| !line.starts_with(']')).filter_map(|line| {
        let line = line.split('#').next()?;
        line.split('"').nth(1).map(str::to_owned)
    });
    words.collect()
}

/// `name version|licence` of every crate of the workspace's tree.
fn crates() -> Vec<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--workspace", "-e", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "cargo tree failed: {errors}");
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    let pairs = text.lines().filter_map(|line| line.split_once('|'));
    let pairs = pairs.map(|(name, licence)| {
        (name.to_owned(), licence.trim_end_matches("(*)").trim().to_owned())
    });
    pairs.filter(|(_, licence)| !licence.is_empty()).collect()
}

/// Whether a licence expression can be met by what is allowed. AND binds stronger than OR.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.trim();
    for word in [" OR ", " AND "] {
        if let Some(at) = outermost(expression, word) {
            let left = is_met(&expression[..at], allowed);
            let right = is_met(&expression[at + word.len()..], allowed);
            return if word == " OR " { left || right } else { left && right };
        }
    }
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inside) => is_met(inside, allowed),
        None => allowed.iter().any(|one| one == expression),
    }
}

/// Where a word stands outside of all parentheses.
fn outermost(expression: &str, word: &str) -> Option<usize> {
    expression.match_indices(word).map(|(at, _)| at).find(|at| {
        let before = &expression[..*at];
        before.matches('(').count() == before.matches(')').count()
    })
}

#[test]
fn every_licence_in_the_tree_is_allowed() {
    let allowed = listed("allow = [");
    assert!(allowed.len() > 3, "deny.toml lists no licences");
    let refused: Vec<_> = crates()
        .into_iter()
        .filter(|(_, licence)| !is_met(&licence.replace(" / ", "/").replace('/', " OR "), &allowed))
        .collect();
    assert!(refused.is_empty(), "licences that deny.toml does not allow: {refused:?}");
}

#[test]
fn no_banned_crate_and_no_foreign_source_is_in_the_tree() {
    let banned = listed("deny = [");
    assert!(!banned.is_empty(), "deny.toml bans nothing");
    for (name, _) in crates() {
        let word = name.split(' ').next().unwrap_or_default();
        assert!(!banned.iter().any(|one| one == word), "{word} is banned by deny.toml");
        assert!(!name.contains("git+") && !name.contains("https:"), "{name} is from elsewhere");
    }
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    assert!(is_met("Apache-2.0 OR MIT", &allowed));
    assert!(is_met("(Apache-2.0 OR MIT) AND ISC", &allowed));
    assert!(!is_met("MIT AND Apache-2.0", &allowed));
    assert!(!is_met("Apache-2.0", &allowed));
}
