//! redis.conf's format: reading, the command line, and rewriting.
//!
//! A line is a directive and its words, with quotes; `#` begins a comment. `include` reads another
//! file in its place. Command line words `--name value ...` are lines that come last and win. Not
//! known here: what directives mean.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdfast_wire::resp::request::split_words;

use super::table::{self, Name};
use super::{Config, Directive, TABLE};

/// How deep files may include each other.
const INCLUDES_MAX: usize = 16;

/// A configuration that cannot be used. Shown as the lines that Redis shows.
#[derive(Debug, thiserror::Error)]
#[error(
    "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\n{place}, at line {line}\n>>> '{text}'\n{why}"
)]
pub struct ConfigError {
    place: String,
    line: usize,
    text: String,
    why: String,
}

/// A configuration whose file could not be rewritten or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It was started without a file.
    #[error("The server is running without a config file")]
    NoFile,
    /// The file system said no.
    #[error("failed to write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

struct Reader {
    config: Config,
    /// `save` lines of one file add up, but the first one replaces the default.
    save_seen: bool,
}

/// Reads the command line (without the program's name): an optional file, then `--name value`.
pub fn from_args(args: &[String]) -> Result<Config, ConfigError> {
    let mut reader = Reader { config: Config::default(), save_seen: false };
    let mut rest = args;
    if let Some((first, others)) = args.split_first()
        && !first.starts_with("--")
    {
        let path = std::path::absolute(first).unwrap_or_else(|_| PathBuf::from(first));
        reader.file(&path, 0)?;
        reader.config.path = Some(path);
        rest = others;
    }
    let mut lines: Vec<Vec<String>> = Vec::new();
    for word in rest {
        match (word.strip_prefix("--"), lines.last_mut()) {
            (Some(name), _) => lines.push(vec![name.to_owned()]),
            (None, Some(line)) => line.push(word.clone()),
            (None, None) => lines.push(vec![word.clone()]),
        }
    }
    reader.save_seen = false;
    for (at, words) in lines.iter().enumerate() {
        let place = "Reading the command line";
        // Scripts write both `--save ""` and `--save "900 1"`; one word may hold several.
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        reader.line(&words, 0).map_err(|why| ConfigError {
            place: place.to_owned(),
            line: at + 1,
            text: format!("--{}", words.join(" ")),
            why,
        })?;
    }
    reader.secrets()?;
    Ok(reader.config)
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), ConfigError> {
        let place = format!("Reading the configuration file {}", path.display());
        let error = |line: usize, text: &str, why: String| ConfigError {
            place: place.clone(),
            line,
            text: text.to_owned(),
            why,
        };
        let bytes = std::fs::read(path)
            .map_err(|e| error(0, "", format!("Fatal error, can't open config file: {e}")))?;
        for (at, text) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let trimmed = text.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let Some(words) = split_words(trimmed.as_bytes()) else {
                return Err(error(
                    at + 1,
                    trimmed,
                    "Unbalanced quotes in configuration line".into(),
                ));
            };
            let words: Vec<String> =
                words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.line(&words, depth).map_err(|why| error(at + 1, trimmed, why))?;
        }
        Ok(())
    }

    fn line(&mut self, words: &[&str], depth: usize) -> Result<(), String> {
        let Some((name, values)) = words.split_first() else { return Ok(()) };
        if name.eq_ignore_ascii_case("include") {
            let [path] = values else { return Err("wrong number of arguments".into()) };
            if depth >= INCLUDES_MAX {
                return Err("files include each other too deeply".into());
            }
            return self.file(Path::new(path), depth + 1).map_err(|e| e.to_string());
        }
        if name.eq_ignore_ascii_case("user") {
            return self.user(values);
        }
        let Some(directive) = table::find(name) else {
            return Err("Bad directive or wrong number of arguments".into());
        };
        refuse_what_is_not_done(directive, values)?;
        if directive.id == Name::Save && !std::mem::replace(&mut self.save_seen, true) {
            self.config.set(directive, &[""])?;
        }
        self.config.set(directive, values)
    }

    fn user(&mut self, words: &[&str]) -> Result<(), String> {
        let Some(name) = words.first() else { return Err("wrong number of arguments".into()) };
        if self.config.users.iter().any(|user| user.first().is_some_and(|known| known == name)) {
            return Err(
                "Duplicate user found. A user can only be defined once in config files".into()
            );
        }
        self.config.users.push(words.iter().map(|word| (*word).to_owned()).collect());
        Ok(())
    }

    /// Passwords from mounted files: they never stand in the environment or on a command line.
    fn secrets(&mut self) -> Result<(), ConfigError> {
        let pairs =
            [(Name::RequirepassFile, Name::Requirepass), (Name::MasterauthFile, Name::Masterauth)];
        for (from, to) in pairs {
            let path = self.config.text(from).to_owned();
            if path.is_empty() {
                continue;
            }
            let error = |why: String| ConfigError {
                place: "Reading a secret".into(),
                line: 0,
                text: path.clone(),
                why,
            };
            let secret = read_secret(Path::new(&path)).map_err(|e| error(e.to_string()))?;
            let Some(directive) = TABLE.get(to as usize) else { continue };
            self.config.set(directive, &[&secret]).map_err(error)?;
        }
        Ok(())
    }
}

/// What would be a lie to accept.
fn refuse_what_is_not_done(directive: &Directive, values: &[&str]) -> Result<(), String> {
    let yes = values.first().is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    match directive.id {
        Name::Daemonize if yes => Err("the node runs in the foreground only".into()),
        Name::SyslogEnabled if yes => Err("the node logs to standard output or a file".into()),
        _ => Ok(()),
    }
}

/// Reads a password file; one line end at its end is not part of the password.
pub fn read_secret(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// CONFIG REWRITE: keeps the file's comments and order, changes the lines of directives whose
/// value differs, and adds those that it lacks and that differ from the default. Its `user` lines
/// give way to `users`.
pub fn rewrite(config: &Config, users: &[Vec<u8>], force_all: bool) -> Result<(), FileError> {
    let path = config.path.as_ref().ok_or(FileError::NoFile)?;
    let old = std::fs::read_to_string(path).unwrap_or_default();
    let text = rewritten(config, users, &old, force_all);
    let write = || {
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".tmp-{}", std::process::id()));
        std::fs::write(&temporary, text.as_bytes())?;
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| FileError::Write { path: path.clone(), source })
}

const ADDED: &str = "# Generated by CONFIG REWRITE";

fn rewritten(config: &Config, users: &[Vec<u8>], old: &str, force_all: bool) -> String {
    let mut text = String::new();
    let mut done: Vec<Name> = Vec::new();
    for line in old.lines() {
        let word = line.split_whitespace().next().unwrap_or("");
        if word.eq_ignore_ascii_case("user") {
            continue;
        }
        match table::find(word) {
            Some(directive) if !word.starts_with('#') => {
                if !done.contains(&directive.id) {
                    done.push(directive.id);
                    write_directive(&mut text, config, directive);
                }
            }
            _ => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    let mut announced = old.lines().any(|line| line == ADDED);
    for directive in TABLE {
        let wanted = force_all || !config.is_default(directive);
        // A password that came from a mounted file stays there.
        let from_file = match directive.id {
            Name::Requirepass => !config.text(Name::RequirepassFile).is_empty(),
            Name::Masterauth => !config.text(Name::MasterauthFile).is_empty(),
            _ => false,
        };
        if wanted && !from_file && !done.contains(&directive.id) {
            if !announced {
                let _ = writeln!(text, "{ADDED}");
                announced = true;
            }
            write_directive(&mut text, config, directive);
        }
    }
    for user in users {
        if !announced {
            let _ = writeln!(text, "{ADDED}");
            announced = true;
        }
        let _ = writeln!(text, "{}", String::from_utf8_lossy(user));
    }
    text
}

fn write_directive(text: &mut String, config: &Config, directive: &Directive) {
    let shown = config.shown(directive);
    let name = directive.name;
    match directive.id {
        Name::Save if shown.is_empty() => text.push_str("save \"\"\n"),
        Name::Save => {
            for (seconds, changes) in config.save_points() {
                let _ = writeln!(text, "save {seconds} {changes}");
            }
        }
        Name::ClientOutputBufferLimit => {
            let words: Vec<&str> = shown.split_whitespace().collect();
            for group in words.chunks(4) {
                let _ = writeln!(text, "{name} {}", group.join(" "));
            }
        }
        Name::Bind | Name::OomScoreAdjValues | Name::LatencyTrackingInfoPercentiles
            if !shown.is_empty() =>
        {
            let _ = writeln!(text, "{name} {shown}");
        }
        // `replicaof` without words is not a line that can be read back.
        Name::Replicaof if shown.is_empty() => {}
        _ => {
            let _ = writeln!(text, "{name} {}", quoted_when_needed(&shown));
        }
    }
}

fn quoted_when_needed(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\' | b'#');
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(byte as char);
            }
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x20..=0x7e => quoted.push(byte as char),
            other => {
                let _ = write!(quoted, "\\x{other:02x}");
            }
        }
    }
    quoted.push('"');
    quoted
}
