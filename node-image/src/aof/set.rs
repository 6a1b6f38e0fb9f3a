//! The append-only file as a set of files in its directory.
//!
//! The set is what the manifest on disk names. Every change of it goes through a new manifest
//! that replaces the old one whole, so a crash leaves the old set or the new one:
//!
//!   append      -> the last increment
//!   rewrite     -> 1. a new increment, named in the manifest, takes all later bytes
//!                  2. somebody writes the base beside it (a snapshot of that very moment)
//!                  3. a manifest with base and increment; what they replace is deleted
//!
//! When the file is switched on while the node runs, step 1 leaves the manifest alone: without a
//! base the increment means nothing. Not known here: when to fsync, and what the commands do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use holdfast_store::aof::{AofFile, FileKind, Manifest};
use thiserror::Error;

use crate::disk::durable;

/// Where the set lies and what its files are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AofNames {
    /// `dir`.
    pub dir: PathBuf,
    /// `appenddirname`.
    pub directory: String,
    /// `appendfilename`.
    pub stem: String,
    /// `dbfilename`: the snapshot that an empty set begins with, when there is one.
    pub snapshot: String,
}

impl AofNames {
    /// The path of a file of the set.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(&self.directory).join(name)
    }

    fn manifest(&self) -> PathBuf {
        self.path(&format!("{}.manifest", self.stem))
    }
}

/// Why a set cannot be used.
#[derive(Debug, Error)]
pub enum AofError {
    /// The disk refused.
    #[error("failed to use {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The manifest is not one.
    #[error("{path}: {error}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        error: holdfast_store::aof::ManifestError,
    },
    /// The manifest names a file that is not there.
    #[error("the append only file {path} of the manifest doesn't exist")]
    Missing {
        /// The file.
        path: PathBuf,
    },
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, AofError> {
    result.map_err(|error| AofError::Io { path: path.to_owned(), error })
}

/// Reads the manifest of a set; `None` when there is no set. A set from before manifests (one
/// file in `dir`) and a snapshot without a set become a set first, so that switching the
/// append-only file on over existing data never starts empty.
pub fn find(names: &AofNames) -> Result<Option<Manifest>, AofError> {
    let path = names.manifest();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return adopt(names),
        Err(error) => return Err(AofError::Io { path, error }),
    };
    let manifest =
        Manifest::parse(&text).map_err(|error| AofError::Manifest { path: path.clone(), error })?;
    for file in manifest.base.iter().chain(&manifest.increments) {
        let path = names.path(&file.name);
        if !path.exists() {
            return Err(AofError::Missing { path });
        }
    }
    Ok(Some(manifest))
}

fn adopt(names: &AofNames) -> Result<Option<Manifest>, AofError> {
    let single = names.dir.join(&names.stem);
    let snapshot = names.dir.join(&names.snapshot);
    let (source, name) = if single.is_file() {
        (single, format!("{}.1.base.aof", names.stem))
    } else if snapshot.is_file() {
        (snapshot, format!("{}.1.base.rdb", names.stem))
    } else {
        return Ok(None);
    };
    let directory = names.path("");
    at(&directory, fs::create_dir_all(&directory))?;
    let target = names.path(&name);
    at(&target, fs::copy(&source, &target).and_then(|_| File::open(&target)?.sync_all()))?;
    let base = AofFile { name, seq: 1, kind: FileKind::Base };
    let manifest = Manifest { base: Some(base), ..Manifest::default() };
    at(&names.manifest(), durable::replace(&names.manifest(), manifest.text().as_bytes()))?;
    tracing::info!("The append only file begins with {}", source.display());
    Ok(Some(manifest))
}

/// A set that is being written.
#[derive(Debug)]
pub struct AofSet {
    names: AofNames,
    manifest: Manifest,
    open: File,
    open_bytes: u64,
    /// Bytes of base and increments when the last rewrite ended (or at start).
    base_bytes: u64,
}

impl AofSet {
    /// Opens the set to append to it. Without a manifest it begins empty, which is right only
    /// when the store is empty too; then the first increment is named at once.
    pub fn open(names: AofNames, manifest: Option<Manifest>) -> Result<Self, AofError> {
        let directory = names.path("");
        at(&directory, fs::create_dir_all(&directory))?;
        at(&directory, durable::sync_directory_of(&directory))?;
        let mut manifest = manifest.unwrap_or_default();
        let history = std::mem::take(&mut manifest.history);
        if manifest.increments.is_empty() {
            manifest = manifest.with_new_increment(&names.stem);
        }
        let (open, open_bytes) = open_last(&names, &manifest)?;
        let mut set = Self { names, manifest, open, open_bytes, base_bytes: 0 };
        set.write_manifest()?;
        set.delete(&history);
        set.base_bytes = set.bytes();
        Ok(set)
    }

    /// Begins a set whose manifest is not written before its base is there.
    pub fn open_without_base(names: AofNames) -> Result<Self, AofError> {
        let directory = names.path("");
        at(&directory, fs::create_dir_all(&directory))?;
        let old = find(&names)?.unwrap_or_default();
        let manifest = old.with_new_increment(&names.stem);
        let (open, open_bytes) = open_last(&names, &manifest)?;
        Ok(Self { names, manifest, open, open_bytes, base_bytes: 0 })
    }

    /// Appends to the last increment; gives how much was written when the disk refuses.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.open.write(rest) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written += count;
                    self.open_bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Makes everything appended so far durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.open.sync_data()
    }

    /// A new increment takes all later bytes: step 1 of a rewrite. The old one is synced first.
    pub fn next_increment(&mut self) -> Result<(), AofError> {
        let path = self.names.path("");
        at(&path, self.open.sync_data())?;
        let next = self.manifest.with_new_increment(&self.names.stem);
        let (open, open_bytes) = open_last(&self.names, &next)?;
        let before = std::mem::replace(&mut self.manifest, next);
        if let Err(error) = self.write_manifest() {
            self.manifest = before;
            return Err(error);
        }
        (self.open, self.open_bytes) = (open, open_bytes);
        Ok(())
    }

    /// Number of the increment that is written now.
    pub fn increment(&self) -> u64 {
        self.manifest.increments.last().map_or(0, |file| file.seq)
    }

    /// Where the base of a rewrite is to be written, before [`AofSet::adopt_base`].
    pub fn temporary_base(&self) -> PathBuf {
        durable::temporary_beside(&self.names.path(&self.next_base().name))
    }

    fn next_base(&self) -> AofFile {
        self.manifest.next_base(&self.names.stem)
    }

    /// Step 3 of a rewrite: the synced file at `temporary` is the base, and `first_increment` the
    /// first increment that still counts.
    pub fn adopt_base(&mut self, temporary: &Path, first_increment: u64) -> Result<(), AofError> {
        let base = self.next_base();
        let path = self.names.path(&base.name);
        at(&path, durable::publish(temporary, &path))?;
        let next = self.manifest.with_base(base, first_increment);
        let before = std::mem::replace(&mut self.manifest, next);
        if let Err(error) = self.write_manifest() {
            self.manifest = before;
            return Err(error);
        }
        let history = std::mem::take(&mut self.manifest.history);
        self.delete(&history);
        self.base_bytes = self.bytes();
        Ok(())
    }

    /// Bytes of base and increments now, and after the last rewrite.
    pub fn sizes(&self) -> (u64, u64) {
        (self.bytes(), self.base_bytes)
    }

    fn bytes(&self) -> u64 {
        let files = self.manifest.base.iter().chain(&self.manifest.increments);
        let open = self.increment();
        files
            .map(|file| match file.kind {
                FileKind::Increment if file.seq == open => self.open_bytes,
                _ => fs::metadata(self.names.path(&file.name)).map_or(0, |meta| meta.len()),
            })
            .sum()
    }

    fn write_manifest(&self) -> Result<(), AofError> {
        let path = self.names.manifest();
        at(&path, durable::replace(&path, self.manifest.text().as_bytes()))
    }

    fn delete(&self, history: &[AofFile]) {
        for file in history {
            let path = self.names.path(&file.name);
            if let Err(error) = durable::remove(&path) {
                tracing::warn!("failed to delete {}: {error}", path.display());
            }
        }
    }
}

fn open_last(names: &AofNames, manifest: &Manifest) -> Result<(File, u64), AofError> {
    let name = manifest.increments.last().map_or("", |file| &file.name);
    let path = names.path(name);
    let file = at(&path, OpenOptions::new().create(true).append(true).open(&path))?;
    let bytes = at(&path, file.metadata())?.len();
    at(&path, durable::sync_directory_of(&path))?;
    Ok((file, bytes))
}

#[cfg(test)]
mod tests;
