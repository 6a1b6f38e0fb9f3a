//! The append-only file's manifest and its commands, as pure text.
//!
//! ```text
//!   appendonlydir/
//!     appendonly.aof.manifest        file appendonly.aof.3.base.rdb seq 3 type b
//!     appendonly.aof.3.base.rdb      file appendonly.aof.7.incr.aof seq 7 type i
//!     appendonly.aof.7.incr.aof
//! ```
//!
//! The manifest names at most one base and any number of increments, in order; files of type `h`
//! are history that may be deleted. An increment is a row of commands as clients send them.
//! Not known here: the disk, and when a rewrite is due.

use thiserror::Error;

/// What a file of the set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The snapshot that everything starts from.
    Base,
    /// Commands since then.
    Increment,
    /// Replaced, may be deleted.
    History,
}

/// A file of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AofFile {
    /// Name within the directory.
    pub name: String,
    /// Its number; grows within a kind.
    pub seq: u64,
    /// What it is.
    pub kind: FileKind,
}

/// The set of files, see the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base; none until the first rewrite of a set that began empty.
    pub base: Option<AofFile>,
    /// The increments in the order in which they are applied.
    pub increments: Vec<AofFile>,
    /// What may be deleted.
    pub history: Vec<AofFile>,
}

/// A manifest that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("failed to read the manifest, line {line}: {problem}")]
pub struct ManifestError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
}

impl Manifest {
    /// Reads a manifest's text.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut manifest = Self::default();
        for (at, line) in text.lines().enumerate() {
            let fail = |problem| ManifestError { line: at + 1, problem };
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            manifest.add(parse_line(line).map_err(fail)?).map_err(fail)?;
        }
        Ok(manifest)
    }

    fn add(&mut self, file: AofFile) -> Result<(), &'static str> {
        match file.kind {
            FileKind::Base if self.base.is_some() => return Err("there is more than one base"),
            FileKind::Base => self.base = Some(file),
            FileKind::Increment => {
                if self.increments.last().is_some_and(|last| last.seq >= file.seq) {
                    return Err("the increments are not in order");
                }
                self.increments.push(file);
            }
            FileKind::History => self.history.push(file),
        }
        Ok(())
    }

    /// The text that [`Manifest::parse`] reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let files = self.base.iter().chain(&self.history).chain(&self.increments);
        for AofFile { name, seq, kind } in files {
            let letter = match kind {
                FileKind::Base => 'b',
                FileKind::Increment => 'i',
                FileKind::History => 'h',
            };
            text.push_str(&format!("file {} seq {seq} type {letter}\n", quoted(name)));
        }
        text
    }

    /// The set with one more increment of the base name `stem` at its end.
    pub fn with_new_increment(&self, stem: &str) -> Self {
        let seq = self.increments.last().map_or(0, |last| last.seq) + 1;
        let name = format!("{stem}.{seq}.incr.aof");
        let mut next = self.clone();
        next.increments.push(AofFile { name, seq, kind: FileKind::Increment });
        next
    }

    /// The base that a rewrite of this set writes.
    pub fn next_base(&self, stem: &str) -> AofFile {
        let seq = self.base.as_ref().map_or(0, |base| base.seq) + 1;
        AofFile { name: format!("{stem}.{seq}.base.rdb"), seq, kind: FileKind::Base }
    }

    /// The set in which `base` stands for the old base and for every increment before `first`.
    pub fn with_base(&self, base: AofFile, first: u64) -> Self {
        let (old, new): (Vec<_>, Vec<_>) =
            self.increments.iter().cloned().partition(|file| file.seq < first);
        let mut history = self.history.clone();
        let replaced = self.base.iter().cloned().chain(old);
        history.extend(replaced.map(|file| AofFile { kind: FileKind::History, ..file }));
        Self { base: Some(base), increments: new, history }
    }
}

fn quoted(name: &str) -> String {
    if name.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\') {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        name.to_owned()
    }
}

/// The words of a line; a word in double quotes may have blanks and escaped quotes.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut word = String::new();
            let mut chars = quoted.chars();
            loop {
                match chars.next().ok_or("a quote is not closed")? {
                    '"' => break,
                    '\\' => word.push(chars.next().ok_or("a quote is not closed")?),
                    other => word.push(other),
                }
            }
            words.push(word);
            rest = chars.as_str().trim_start();
        } else {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            words.push(word.to_owned());
            rest = after.trim_start();
        }
    }
    Ok(words)
}

fn parse_line(line: &str) -> Result<AofFile, &'static str> {
    let words = words(line)?;
    let (pairs, odd) = words.as_chunks::<2>();
    if !odd.is_empty() {
        return Err("a name has no value");
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    for [key, value] in pairs {
        match key.to_ascii_lowercase().as_str() {
            "file" if value.contains('/') => return Err("a file name has a path"),
            "file" => name = Some(value.clone()),
            "seq" => seq = Some(value.parse().map_err(|_| "seq is not a number")?),
            "type" => {
                kind = Some(match value.as_str() {
                    "b" => FileKind::Base,
                    "i" => FileKind::Increment,
                    "h" => FileKind::History,
                    _ => return Err("there is no such type"),
                });
            }
            // Later versions add facts that an older reader may pass over.
            _ => {}
        }
    }
    match (name, seq, kind) {
        (Some(name), Some(seq), Some(kind)) => Ok(AofFile { name, seq, kind }),
        _ => Err("it needs file, seq and type"),
    }
}

/// How an attempt to read a command ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A command of so many bytes.
    Command(Vec<Vec<u8>>, usize),
    /// An annotation of so many bytes.
    Annotation(usize),
    /// The bytes end inside a command, or there are none.
    Incomplete,
}

/// Bytes that are not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("failed to read a command: {0}")]
pub struct BadCommand(&'static str);

/// Reads the command at the start of `bytes`.
///
/// Stricter than what clients may send: a multibulk of at least one argument, or a line that
/// starts with `#` and that loaders skip.
pub fn read_command(bytes: &[u8]) -> Result<Step, BadCommand> {
    let Some(first) = bytes.first() else { return Ok(Step::Incomplete) };
    if *first == b'#' {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        return Ok(end.map_or(Step::Incomplete, |end| Step::Annotation(end + 1)));
    }
    let mut at = 0;
    let Some(count) = header(bytes, &mut at, b'*')? else { return Ok(Step::Incomplete) };
    if count == 0 {
        return Err(BadCommand("it has no arguments"));
    }
    let mut args = Vec::new();
    for _ in 0..count {
        let Some(length) = header(bytes, &mut at, b'$')? else { return Ok(Step::Incomplete) };
        let end = at.saturating_add(length);
        let Some(arg) = bytes.get(at..end) else { return Ok(Step::Incomplete) };
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(BadCommand("an argument is longer than it says")),
            None => return Ok(Step::Incomplete),
        }
        args.push(arg.to_vec());
        at = end + 2;
    }
    Ok(Step::Command(args, at))
}

/// The number in the line at `at`, which moves behind it.
fn header(bytes: &[u8], at: &mut usize, mark: u8) -> Result<Option<usize>, BadCommand> {
    const DIGITS_MAX: usize = 12;
    let rest = bytes.get(*at..).unwrap_or_default();
    let Some(first) = rest.first() else { return Ok(None) };
    if *first != mark {
        return Err(BadCommand("a header is missing"));
    }
    let Some(end) = rest.iter().take(DIGITS_MAX + 3).position(|byte| *byte == b'\n') else {
        let hopeless = rest.len() > DIGITS_MAX + 3;
        return if hopeless { Err(BadCommand("a header has no end")) } else { Ok(None) };
    };
    let digits = rest.get(1..end).and_then(|line| line.strip_suffix(b"\r"));
    let number = digits
        .filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .ok_or(BadCommand("a header is not a number"))?;
    *at += end + 1;
    Ok(Some(number))
}

/// Appends a command in the form that [`read_command`] reads.
pub fn write_command<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
