//! The planner by scenarios and by properties; see `script.rs` and `properties.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod properties;
mod script;
mod world;

use std::path::PathBuf;

#[test]
fn every_scenario_is_planned_as_its_file_says() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/planner");
    let mut scenarios = 0;
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "txt")) {
        let text = std::fs::read_to_string(path).unwrap();
        println!("scenario {}", path.display());
        expect_test::expect_file![path].assert_eq(&script::run(&text));
        scenarios += 1;
    }
    assert!(scenarios >= 15, "only {scenarios} scenarios");
}
