//! The files that git tracks, read once per test. Not known here: the rules.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A tracked Rust file: path relative to the root of the checkout, and its lines.
pub struct Source {
    pub path: String,
    pub lines: Vec<String>,
}

impl Source {
    /// Tests are not held to the lengths of the code that they test.
    pub fn is_test(&self) -> bool {
        let in_tests_folder = self.path.split('/').any(|part| part == "tests");
        in_tests_folder || self.path.ends_with("tests.rs") || self.path.ends_with("_tests.rs")
    }

    /// The lines before the file's own test module.
    pub fn code(&self) -> &[String] {
        let end = self.lines.iter().position(|line| line.trim() == "#[cfg(test)]");
        &self.lines[..end.unwrap_or(self.lines.len())]
    }
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Every tracked (or new and not ignored) file with this ending.
pub fn tracked(ending: &str) -> Vec<Source> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let mut sources: Vec<Source> = listed
        .lines()
        .filter(|path| path.ends_with(ending))
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(path)).ok()?;
            let lines = text.lines().map(str::to_owned).collect();
            Some(Source { path: path.to_owned(), lines })
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.dedup_by(|a, b| a.path == b.path);
    sources
}
