//! Rules on single files: headers, lengths, names, leftovers. The numbers are docs/style.md's.

use crate::sources::{Source, tracked};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 100;
const BANNED_IN_NAMES: [&str; 5] = ["Manager", "Handler", "Util", "Helper", "Impl"];
const BANNED_MODULES: [&str; 8] =
    ["manager", "handler", "handlers", "util", "utils", "helper", "helpers", "common"];
/// The only places that may hold `unsafe`, see docs/architecture.md.
const UNSAFE_ALLOWED: [&str; 2] = ["node-image/store/src/table/", "node-image/store/src/entry.rs"];

fn report(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn every_file_opens_with_what_it_is() {
    let found: Vec<String> = tracked(".rs")
        .iter()
        .filter(|source| !source.lines.first().is_some_and(|line| line.starts_with("//!")))
        .map(|source| source.path.clone())
        .collect();
    report("these files do not open with `//!`", &found);
}

#[test]
fn files_are_short_enough_to_read() {
    let found: Vec<String> = tracked(".rs")
        .iter()
        .filter(|source| !source.is_test() && source.code().len() > FILE_LINES_MAX)
        .map(|source| format!("{} has {} lines", source.path, source.code().len()))
        .collect();
    report("files over 500 lines without tests", &found);
}

#[test]
fn lines_fit_on_a_screen() {
    let mut found = Vec::new();
    for source in tracked(".rs") {
        for (number, line) in source.lines.iter().enumerate() {
            if line.chars().count() > LINE_CHARS_MAX && !is_one_long_literal(line) {
                found.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    report("lines over 100 characters", &found);
}

/// rustfmt leaves long string literals alone; breaking them would make them hard to search.
fn is_one_long_literal(line: &str) -> bool {
    let trimmed = line.trim_start();
    trimmed.contains('"') && !trimmed.starts_with("//")
}

#[test]
fn functions_are_short_enough_to_hold_in_the_head() {
    let mut found = Vec::new();
    for source in tracked(".rs").iter().filter(|source| !source.is_test()) {
        for (name, lines) in functions(source.code()) {
            if lines > FUNCTION_LINES_MAX {
                found.push(format!("{} {name} has {lines} lines", source.path));
            }
        }
    }
    report("functions over 70 lines", &found);
}

/// Functions with their lengths. rustfmt puts the closing brace at the indentation of `fn`.
fn functions(lines: &[String]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| *line == close);
        if let Some(length) = length {
            found.push((name, length + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let fn_at = words.by_ref().find(|word| {
        !matches!(*word, "pub" | "const" | "async" | "unsafe" | "extern")
            && !word.starts_with("pub(")
    })?;
    if fn_at != "fn" || line.trim_end().ends_with(';') {
        return None;
    }
    let name = words.next()?.split(['(', '<']).next()?;
    Some(name.to_owned())
}

#[test]
fn names_say_what_a_thing_is() {
    let mut found = Vec::new();
    for source in tracked(".rs") {
        for (number, line) in source.lines.iter().enumerate() {
            if banned_name(line) {
                found.push(format!("{}:{} {}", source.path, number + 1, line.trim()));
            }
        }
    }
    report("names that say nothing", &found);
}

fn banned_name(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let name = pair[1].split(['<', '(', '{', ';', ':', '=']).next().unwrap_or("");
        match pair[0] {
            "struct" | "enum" | "trait" | "type" => {
                BANNED_IN_NAMES.iter().any(|banned| name.contains(banned))
            }
            "mod" => BANNED_MODULES.contains(&name),
            _ => false,
        }
    })
}

#[test]
fn nothing_is_left_half_done() {
    // Spelled in two pieces, so that this file does not find itself.
    let leftovers = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("#[igno", "re"),
        concat!("allow(dead", "_code)"),
    ];
    let mut found = Vec::new();
    for source in tracked(".rs") {
        for (number, line) in source.lines.iter().enumerate() {
            if leftovers.iter().any(|leftover| line.contains(leftover)) {
                found.push(format!("{}:{} {}", source.path, number + 1, line.trim()));
            }
        }
    }
    report("leftovers", &found);
}

#[test]
fn unsafe_code_stays_in_the_named_modules() {
    let found: Vec<String> = tracked(".rs")
        .iter()
        .filter(|source| !UNSAFE_ALLOWED.iter().any(|allowed| source.path.starts_with(allowed)))
        .filter(|source| source.lines.iter().any(|line| has_unsafe(line)))
        .map(|source: &Source| source.path.clone())
        .collect();
    report("unsafe outside the store's named modules", &found);
}

fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or("").trim();
    let opens = [concat!("unsa", "fe {"), concat!("unsa", "fe fn"), concat!("unsa", "fe impl")];
    opens.iter().any(|open| code.contains(open))
}
