//! Writes a snapshot entry by entry.
//!
//! Bytes gather in [`Writer`] until [`Writer::take`]; whoever drives it decides how many entries
//! make a slice. Strings that are integers shrink to five bytes at most, strings and listpacks
//! from 21 bytes on are compressed when that saves anything.
//! Not known here: which entries, in which order, and where the bytes go.

use super::{NODE_PACKED, NODE_PLAIN, VERSION_WRITTEN, kind, opcode};
use crate::crc64::crc64;
use crate::listpack::{Builder, canonical_integer};
use crate::lzf::Compressor;
use crate::set::Set;

/// A string shorter than this is never worth compressing.
const COMPRESS_FROM_BYTES: usize = 21;
/// What compression must save at least.
const COMPRESS_SAVES_BYTES: usize = 4;
/// A list node is closed when it has this many bytes (`list-max-listpack-size -2`).
const NODE_BYTES_MAX: usize = 8 << 10;
/// An element from this size on is a node by itself.
const PLAIN_FROM_BYTES: usize = 1 << 30;

/// What may differ between snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// Compress strings (`rdbcompression`).
    pub compress: bool,
    /// Sum the bytes (`rdbchecksum`); otherwise the sum is 0, which readers skip.
    pub checksum: bool,
    /// A hash with more fields is not a listpack.
    pub hash_listpack_entries_max: usize,
    /// A hash with a longer field or value is not a listpack.
    pub hash_listpack_value_max: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            compress: true,
            checksum: true,
            hash_listpack_entries_max: 128,
            hash_listpack_value_max: 64,
        }
    }
}

/// A set of numbers is an intset; listpacks of sets are not in the version that we write.
fn set_kind(set: &Set) -> u8 {
    if set.as_intset().is_some() { kind::SET_INTSET } else { kind::SET }
}

/// A snapshot on its way out, see the module.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    crc: u64,
    compressor: Compressor,
    options: WriterOptions,
}

impl Writer {
    /// A writer whose first bytes are the header.
    pub fn new(options: WriterOptions) -> Self {
        let mut writer = Self::bare(options);
        writer.out.extend_from_slice(format!("REDIS{VERSION_WRITTEN:04}").as_bytes());
        writer
    }

    /// A writer without a header, for a single value.
    pub(crate) fn bare(options: WriterOptions) -> Self {
        Self { out: Vec::new(), crc: 0, compressor: Compressor::default(), options }
    }

    /// A fact about the snapshot.
    pub fn aux(&mut self, key: &str, value: &str) {
        self.out.push(opcode::AUX);
        self.push_string(key.as_bytes());
        self.push_string(value.as_bytes());
    }

    /// Starts database `db`, which has about `keys` keys of which `expires` expire.
    pub fn select_db(&mut self, db: u32, keys: u64, expires: u64) {
        self.out.push(opcode::SELECT_DB);
        self.push_length(u64::from(db));
        self.out.push(opcode::RESIZE_DB);
        self.push_length(keys);
        self.push_length(expires);
    }

    /// A string key.
    pub fn string(&mut self, key: &[u8], expires_at_ms: Option<u64>, value: &[u8]) {
        self.begin_entry(key, expires_at_ms, kind::STRING);
        self.push_string(value);
    }

    /// A list key.
    pub fn list<E: AsRef<[u8]>>(
        &mut self,
        key: &[u8],
        expires_at_ms: Option<u64>,
        elements: impl IntoIterator<Item = E>,
    ) {
        self.begin_entry(key, expires_at_ms, kind::LIST_QUICKLIST_2);
        self.push_list(elements);
    }

    /// A hash key.
    pub fn hash<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        key: &[u8],
        expires_at_ms: Option<u64>,
        fields: &[(F, V)],
    ) {
        let code = self.hash_kind(fields);
        self.begin_entry(key, expires_at_ms, code);
        self.push_hash(code, fields);
    }

    /// A set key.
    pub fn set(&mut self, key: &[u8], expires_at_ms: Option<u64>, set: &Set) {
        self.begin_entry(key, expires_at_ms, set_kind(set));
        self.push_set(set);
    }

    /// Ends the snapshot. Nothing may be written after it.
    pub fn finish(&mut self) {
        self.out.push(opcode::END);
        let sum = if self.options.checksum { crc64(self.crc, &self.out) } else { 0 };
        self.out.extend_from_slice(&sum.to_le_bytes());
    }

    /// Bytes that wait for [`Writer::take`].
    pub fn pending_bytes(&self) -> usize {
        self.out.len()
    }

    /// Gives away what was written so far.
    pub fn take(&mut self) -> Vec<u8> {
        let capacity = self.out.len();
        let out = std::mem::replace(&mut self.out, Vec::with_capacity(capacity));
        if self.options.checksum {
            self.crc = crc64(self.crc, &out);
        }
        out
    }

    pub(super) fn begin_entry(&mut self, key: &[u8], expires_at_ms: Option<u64>, code: u8) {
        if let Some(at_ms) = expires_at_ms {
            self.out.push(opcode::EXPIRE_MS);
            self.out.extend_from_slice(&at_ms.to_le_bytes());
        }
        self.out.push(code);
        self.push_string(key);
    }

    pub(crate) fn push_string_value(&mut self, value: &[u8]) {
        self.out.push(kind::STRING);
        self.push_string(value);
    }

    pub(crate) fn push_list_value<E: AsRef<[u8]>>(
        &mut self,
        elements: impl IntoIterator<Item = E>,
    ) {
        self.out.push(kind::LIST_QUICKLIST_2);
        self.push_list(elements);
    }

    pub(crate) fn push_hash_value<F: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, fields: &[(F, V)]) {
        let code = self.hash_kind(fields);
        self.out.push(code);
        self.push_hash(code, fields);
    }

    pub(crate) fn push_set_value(&mut self, set: &Set) {
        self.out.push(set_kind(set));
        self.push_set(set);
    }

    fn push_set(&mut self, set: &Set) {
        if let Some(numbers) = set.as_intset() {
            return self.push_string(numbers.as_bytes());
        }
        self.push_length(set.len() as u64);
        set.iter().for_each(|member| self.push_string(&member));
    }

    fn push_list<E: AsRef<[u8]>>(&mut self, elements: impl IntoIterator<Item = E>) {
        let mut nodes: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut open = Builder::default();
        for element in elements {
            let element = element.as_ref();
            let plain = element.len() >= PLAIN_FROM_BYTES;
            if open.count() > 0 && (plain || open.len_bytes() + element.len() > NODE_BYTES_MAX) {
                nodes.push((NODE_PACKED, std::mem::take(&mut open).finish()));
            }
            if plain {
                nodes.push((NODE_PLAIN, element.to_vec()));
            } else {
                open.push(element);
            }
        }
        if open.count() > 0 {
            nodes.push((NODE_PACKED, open.finish()));
        }
        self.push_length(nodes.len() as u64);
        for (container, node) in nodes {
            self.push_length(container);
            self.push_string(&node);
        }
    }

    fn hash_kind<F: AsRef<[u8]>, V: AsRef<[u8]>>(&self, fields: &[(F, V)]) -> u8 {
        let longest = self.options.hash_listpack_value_max;
        let few = fields.len() <= self.options.hash_listpack_entries_max;
        let short = |bytes: &[u8]| bytes.len() <= longest;
        if few && fields.iter().all(|(f, v)| short(f.as_ref()) && short(v.as_ref())) {
            kind::HASH_LISTPACK
        } else {
            kind::HASH
        }
    }

    fn push_hash<F: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, code: u8, fields: &[(F, V)]) {
        if code == kind::HASH_LISTPACK {
            let mut packed = Builder::default();
            for (field, value) in fields {
                packed.push(field.as_ref());
                packed.push(value.as_ref());
            }
            self.push_string(&packed.finish());
            return;
        }
        self.push_length(fields.len() as u64);
        for (field, value) in fields {
            self.push_string(field.as_ref());
            self.push_string(value.as_ref());
        }
    }

    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn push_length(&mut self, length: u64) {
        match length {
            0..64 => self.out.push(length as u8),
            64..16_384 => {
                self.out.push(0x40 | (length >> 8) as u8);
                self.out.push(length as u8);
            }
            16_384..=0xffff_ffff => {
                self.out.push(0x80);
                self.out.extend_from_slice(&(length as u32).to_be_bytes());
            }
            _ => {
                self.out.push(0x81);
                self.out.extend_from_slice(&length.to_be_bytes());
            }
        }
    }

    pub(super) fn push_byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(super) fn push_string(&mut self, bytes: &[u8]) {
        if bytes.len() <= 11
            && let Some(number) = canonical_integer(bytes)
            && let Ok(number) = i32::try_from(number)
        {
            return self.push_integer(number);
        }
        if self.options.compress
            && bytes.len() >= COMPRESS_FROM_BYTES
            && let Some(packed) =
                self.compressor.compress(bytes, bytes.len() - COMPRESS_SAVES_BYTES)
        {
            self.out.push(0xc3);
            self.push_length(packed.len() as u64);
            self.push_length(bytes.len() as u64);
            self.out.extend_from_slice(&packed);
            return;
        }
        self.push_length(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn push_integer(&mut self, number: i32) {
        let bytes = number.to_le_bytes();
        if let Ok(small) = i8::try_from(number) {
            self.out.push(0xc0);
            self.out.extend_from_slice(&small.to_le_bytes());
        } else if let Ok(medium) = i16::try_from(number) {
            self.out.push(0xc1);
            self.out.extend_from_slice(&medium.to_le_bytes());
        } else {
            self.out.push(0xc2);
            self.out.extend_from_slice(&bytes);
        }
    }
}
