//! Reads an append-only set (or a lone snapshot file) at start, slice by slice.
//!
//! ```text
//!   base (snapshot or commands) -> increment -> increment -> ...
//! ```
//!
//! Only the very end may be torn: a last command, or a MULTI without its EXEC, that a crash cut
//! off. It is removed from the file and said, when `aof-load-truncated` allows it. Anything else
//! that cannot be read is refused with file and offset, because what follows cannot be trusted.
//! Not known here: what the commands do to the store.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use holdfast_store::aof::{Manifest, Step, read_command};
use holdfast_store::rdb::{Content, Item, RdbError, Reader};
use thiserror::Error;

use super::set::AofNames;

const PIECE_BYTES: usize = 256 << 10;

/// Why nothing can be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The disk refused.
    #[error("failed to read {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A snapshot cannot be read.
    #[error("{}: {error}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Why, and where.
        error: RdbError,
    },
    /// A command cannot be read.
    #[error("Bad file format reading the append only file {} at offset {offset}: {problem}",
            path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Why.
        problem: String,
    },
    /// The file ends inside a command, where it must not.
    #[error("Unexpected end of file reading the append only file {} at offset {offset}",
            path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The offset to which it is whole.
        offset: u64,
    },
}

/// What was read.
#[derive(Debug, PartialEq)]
pub enum Loaded {
    /// A key of a snapshot.
    Entry {
        /// Number of its database.
        db: u32,
        /// Its name.
        key: Vec<u8>,
        /// Its value.
        content: Content,
        /// When it expires, in Unix milliseconds.
        expires_at_ms: Option<u64>,
    },
    /// A command of an increment.
    Command(Vec<Vec<u8>>),
    /// A fact that the snapshot has about itself.
    Aux(Vec<u8>, Vec<u8>),
}

/// How strict to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// `aof-load-truncated`.
    pub cut_torn_tail: bool,
}

#[derive(Debug)]
enum Form {
    /// Not enough bytes yet to tell.
    Unknown,
    Snapshot(Box<Reader>),
    Commands,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    form: Form,
    buffer: Vec<u8>,
    at: usize,
    /// Offset in the file of `buffer[at]`.
    offset: u64,
    /// Commands since MULTI, and the offset of MULTI.
    unit: Option<(u64, Vec<Vec<Vec<u8>>>)>,
    ready: VecDeque<Loaded>,
    ended: bool,
    /// Nothing more is tried before the buffer has grown to this.
    retry_at: usize,
}

/// A start's reading, see the module.
#[derive(Debug)]
pub struct Loader {
    files: VecDeque<PathBuf>,
    open: Option<Open>,
    options: LoadOptions,
    total_bytes: u64,
    read_bytes: u64,
}

impl Loader {
    /// Reads the files of a set.
    pub fn of_set(names: &AofNames, manifest: &Manifest, options: LoadOptions) -> Self {
        let files = manifest.base.iter().chain(&manifest.increments);
        Self::of(files.map(|file| names.path(&file.name)).collect(), options)
    }

    /// Reads one snapshot file.
    pub fn of_snapshot(path: PathBuf) -> Self {
        Self::of(VecDeque::from([path]), LoadOptions { cut_torn_tail: false })
    }

    /// Reads nothing and is at its end.
    pub fn of_nothing() -> Self {
        Self::of(VecDeque::new(), LoadOptions { cut_torn_tail: false })
    }

    fn of(files: VecDeque<PathBuf>, options: LoadOptions) -> Self {
        let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
        let total_bytes = files.iter().map(size).sum();
        Self { files, open: None, options, total_bytes, read_bytes: 0 }
    }

    /// Bytes read so far and bytes in all.
    pub fn progress(&self) -> (u64, u64) {
        (self.read_bytes, self.total_bytes)
    }

    /// The next thing, or `None` at the end of the last file.
    pub fn load_next(&mut self) -> Result<Option<Loaded>, LoadError> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(path) = self.files.pop_front() else { return Ok(None) };
                self.open = Some(Open::new(path)?);
                continue;
            };
            if let Some(loaded) = open.next()? {
                return Ok(Some(loaded));
            }
            if !open.ended {
                self.read_bytes += open.read_more()?;
                continue;
            }
            let last = self.files.is_empty();
            open.end(last && self.options.cut_torn_tail)?;
            self.open = None;
        }
    }
}

impl Open {
    fn new(path: PathBuf) -> Result<Self, LoadError> {
        let file = File::open(&path).map_err(|error| io_error(&path, error))?;
        Ok(Self {
            path,
            file,
            form: Form::Unknown,
            buffer: Vec::new(),
            at: 0,
            offset: 0,
            unit: None,
            ready: VecDeque::new(),
            ended: false,
            retry_at: 0,
        })
    }

    fn read_more(&mut self) -> Result<u64, LoadError> {
        let mut piece = vec![0; PIECE_BYTES];
        let count = loop {
            match self.file.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(|error| io_error(&self.path, error))?,
            }
        };
        let piece = piece.get(..count).unwrap_or_default();
        if let Form::Snapshot(reader) = &mut self.form {
            reader.feed(piece);
        } else {
            self.buffer.drain(..self.at);
            self.retry_at = self.retry_at.saturating_sub(self.at);
            self.at = 0;
            self.buffer.extend_from_slice(piece);
        }
        if count == 0 {
            self.ended = true;
            self.retry_at = 0;
        }
        Ok(count as u64)
    }

    fn next(&mut self) -> Result<Option<Loaded>, LoadError> {
        if let Some(loaded) = self.ready.pop_front() {
            return Ok(Some(loaded));
        }
        if matches!(self.form, Form::Unknown) {
            self.find_form();
        }
        match &mut self.form {
            Form::Unknown => Ok(None),
            Form::Commands => self.next_command(),
            Form::Snapshot(_) => self.next_entry(),
        }
    }

    fn find_form(&mut self) {
        const LONGEST_MAGIC: usize = 6;
        if self.buffer.len() < LONGEST_MAGIC && !self.ended {
            return;
        }
        if self.buffer.starts_with(b"REDIS") || self.buffer.starts_with(b"VALKEY") {
            let mut reader = Box::new(Reader::default());
            reader.feed(&std::mem::take(&mut self.buffer));
            self.form = Form::Snapshot(reader);
        } else {
            self.form = Form::Commands;
        }
    }

    fn next_entry(&mut self) -> Result<Option<Loaded>, LoadError> {
        let Form::Snapshot(reader) = &mut self.form else { return Ok(None) };
        loop {
            let item = reader.next_item();
            let item =
                item.map_err(|error| LoadError::Snapshot { path: self.path.clone(), error })?;
            match item {
                Some(Item::Entry { db, key, content, expires_at_ms }) => {
                    return Ok(Some(Loaded::Entry { db, key, content, expires_at_ms }));
                }
                Some(Item::Aux { key, value }) => return Ok(Some(Loaded::Aux(key, value))),
                Some(Item::Sizes { .. }) => {}
                // An old append-only file may go on with commands behind its snapshot.
                Some(Item::End) => {
                    self.offset = reader.offset();
                    self.buffer = reader.leftover().to_vec();
                    self.form = Form::Commands;
                    return self.next_command();
                }
                None => return Ok(None),
            }
        }
    }

    fn next_command(&mut self) -> Result<Option<Loaded>, LoadError> {
        while self.buffer.len() >= self.retry_at {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let step = read_command(rest).map_err(|problem| LoadError::Damaged {
                path: self.path.clone(),
                offset: self.offset,
                problem: problem.to_string(),
            })?;
            let (args, bytes) = match step {
                // A large command is not looked at again before its buffer has doubled.
                Step::Incomplete => {
                    self.retry_at = self.at + rest.len() * 2;
                    return Ok(None);
                }
                Step::Annotation(bytes) => (None, bytes),
                Step::Command(args, bytes) => (Some(args), bytes),
            };
            let start = self.offset;
            self.at += bytes;
            self.offset += bytes as u64;
            if let Some(args) = args
                && let Some(loaded) = self.in_unit(args, start)
            {
                return Ok(Some(loaded));
            }
        }
        Ok(None)
    }

    /// Keeps the commands of a transaction back until its EXEC was read.
    fn in_unit(&mut self, args: Vec<Vec<u8>>, start: u64) -> Option<Loaded> {
        let is = |name: &[u8]| args.first().is_some_and(|first| first.eq_ignore_ascii_case(name));
        match &mut self.unit {
            None if is(b"MULTI") => {
                self.unit = Some((start, Vec::new()));
                None
            }
            None => Some(Loaded::Command(args)),
            Some(_) if is(b"DISCARD") => {
                self.unit = None;
                None
            }
            Some((_, commands)) if is(b"EXEC") => {
                self.ready.extend(std::mem::take(commands).into_iter().map(Loaded::Command));
                self.unit = None;
                self.ready.pop_front()
            }
            Some((_, commands)) => {
                commands.push(args);
                None
            }
        }
    }

    fn end(&mut self, cut_torn_tail: bool) -> Result<(), LoadError> {
        if let Form::Snapshot(reader) = &self.form {
            let path = self.path.clone();
            return reader.finish().map_err(|error| LoadError::Snapshot { path, error });
        }
        let whole = self.unit.as_ref().map_or(self.offset, |(start, _)| *start);
        let torn = self.buffer.len() > self.at || self.unit.is_some();
        if !torn {
            return Ok(());
        }
        if !cut_torn_tail {
            return Err(LoadError::Truncated { path: self.path.clone(), offset: whole });
        }
        tracing::warn!(
            "{} ends inside a command: it is cut at offset {whole}",
            self.path.display()
        );
        let file = OpenOptions::new().write(true).open(&self.path);
        file.and_then(|file| file.set_len(whole).and_then(|()| file.sync_all()))
            .map_err(|error| io_error(&self.path, error))
    }
}

fn io_error(path: &Path, error: io::Error) -> LoadError {
    LoadError::Io { path: path.to_owned(), error }
}
