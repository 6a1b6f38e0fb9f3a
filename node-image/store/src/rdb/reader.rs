//! Reads a snapshot from bytes that come in pieces.
//!
//! [`Reader::feed`] takes bytes as they come, [`Reader::next_item`] gives what is complete. A
//! collection is read element by element, so a value of a gigabyte is never parsed twice because
//! its end was not there yet; a string is tried again only when all of it has come.
//! Not known here: where the bytes come from, which key is due where.

use super::cursor::{Cursor, Stop, damaged};
use super::stream::PartialStream;
use super::{Content, NODE_PACKED, NODE_PLAIN, Problem, RdbError, kind, legacy, opcode, scores};
use super::{VERSION_READ_MAX, VERSION_VALKEY, unknown_type};
use crate::crc64::crc64;
use crate::intset::IntSet;
use crate::listpack;
use crate::number::IntText;

/// What a snapshot consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A fact about the snapshot, such as `repl-offset`.
    Aux {
        /// Its name.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// How many keys the current database will have, and how many of them expire. A hint only.
    Sizes {
        /// All keys.
        keys: u64,
        /// Those with an expiry.
        expires: u64,
    },
    /// A key.
    Entry {
        /// Number of the database.
        db: u32,
        /// Its name.
        key: Vec<u8>,
        /// Its value.
        content: Content,
        /// When it expires, in Unix milliseconds.
        expires_at_ms: Option<u64>,
    },
    /// The end; the checksum was right (or is switched off by the writer).
    End,
}

#[derive(Debug)]
enum State {
    Header,
    Between,
    Inside { key: Vec<u8>, partial: Partial },
    Ended,
}

/// An incremental reader, see the module.
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    at: usize,
    /// No attempt before the buffer has this many bytes.
    retry_at: usize,
    offset: u64,
    crc: u64,
    version: u16,
    db: u32,
    expires_at_ms: Option<u64>,
    state: State,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            retry_at: 0,
            offset: 0,
            crc: 0,
            version: 0,
            db: 0,
            expires_at_ms: None,
            state: State::Header,
        }
    }
}

impl Reader {
    /// Adds bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.retry_at = self.retry_at.saturating_sub(self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that were read as items so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// True once [`Item::End`] was given.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Bytes after the end of the snapshot.
    pub fn leftover(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// The next item, or `None` when more bytes are needed (or the end was given).
    pub fn next_item(&mut self) -> Result<Option<Item>, RdbError> {
        while !self.is_ended() && self.buffer.len() >= self.retry_at {
            match self.step() {
                Ok(Some(item)) => return Ok(Some(item)),
                Ok(None) => {}
                Err(Stop::Need(missing)) => {
                    let missing = usize::try_from(missing).unwrap_or(usize::MAX);
                    self.retry_at = self.buffer.len().saturating_add(missing);
                }
                Err(Stop::Bad(problem)) => return Err(self.error(problem)),
            }
        }
        Ok(None)
    }

    /// Says that no more bytes will come: an error unless the end was reached.
    pub fn finish(&self) -> Result<(), RdbError> {
        if self.is_ended() { Ok(()) } else { Err(self.error(Problem::Truncated)) }
    }

    fn error(&self, problem: Problem) -> RdbError {
        let key = match &self.state {
            State::Inside { key, .. } => Some(key.clone()),
            _ => self.key_at_hand(),
        };
        RdbError { offset: self.offset, key, problem }
    }

    /// The key of the entry that starts where we are, for an error that names it.
    fn key_at_hand(&self) -> Option<Vec<u8>> {
        let mut cursor = Cursor::new(self.leftover());
        let code = cursor.byte().ok()?;
        if code >= opcode::SLOT_SIZES || !matches!(self.state, State::Between) {
            return None;
        }
        cursor.string().ok()
    }

    fn step(&mut self) -> Result<Option<Item>, Stop> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let mut cursor = Cursor::new(rest);
        let mut item = None;
        match &mut self.state {
            State::Header => {
                self.version = read_header(&mut cursor)?;
                self.state = State::Between;
            }
            State::Inside { key, partial } => {
                if partial.step(&mut cursor)? {
                    let key = std::mem::take(key);
                    let content = partial.take();
                    item = Some(Item::Entry {
                        db: self.db,
                        key,
                        content,
                        expires_at_ms: self.expires_at_ms.take(),
                    });
                    self.state = State::Between;
                }
            }
            State::Between => return self.between(),
            State::Ended => {}
        }
        let read = cursor.at();
        self.advance(read);
        Ok(item)
    }

    fn advance(&mut self, read: usize) {
        let piece = self.buffer.get(self.at..self.at + read).unwrap_or_default();
        self.crc = crc64(self.crc, piece);
        self.at += read;
        self.offset += read as u64;
    }

    fn between(&mut self) -> Result<Option<Item>, Stop> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let mut cursor = Cursor::new(rest);
        let code = cursor.byte()?;
        let mut item = None;
        match code {
            opcode::AUX => {
                let key = cursor.string()?;
                item = Some(Item::Aux { key, value: cursor.string()? });
            }
            opcode::RESIZE_DB => {
                let keys = cursor.length()?;
                item = Some(Item::Sizes { keys, expires: cursor.length()? });
            }
            opcode::SELECT_DB => {
                self.db = u32::try_from(cursor.length()?)
                    .map_err(|_| Stop::Bad(Problem::Damaged("no such database")))?;
            }
            opcode::EXPIRE_MS => {
                self.expires_at_ms = Some(expiry(i64::from_le_bytes(cursor.array()?)));
            }
            opcode::EXPIRE_SECONDS => {
                let seconds = i64::from(i32::from_le_bytes(cursor.array()?));
                self.expires_at_ms = Some(expiry(seconds.saturating_mul(1000)));
            }
            // Hints for eviction and for sizing tables: the store finds both out by itself.
            opcode::IDLE => drop(cursor.length()?),
            opcode::FREQUENCY => drop(cursor.byte()?),
            opcode::SLOT_SIZES if self.version >= VERSION_READ_MAX => {
                for _ in 0..3 {
                    cursor.length()?;
                }
            }
            opcode::FUNCTION | opcode::FUNCTION_BEFORE_7 => {
                return Err(Stop::Bad(Problem::Content("a function library")));
            }
            opcode::MODULE_AUX => return Err(Stop::Bad(Problem::Content("what a module keeps"))),
            opcode::END => return self.end(),
            code => {
                let key = cursor.string()?;
                match begin(code, &mut cursor)? {
                    Begun::Whole(content) => {
                        let expires_at_ms = self.expires_at_ms.take();
                        item = Some(Item::Entry { db: self.db, key, content, expires_at_ms });
                    }
                    Begun::Partial(partial) => self.state = State::Inside { key, partial },
                }
            }
        }
        let read = cursor.at();
        self.advance(read);
        Ok(item)
    }

    fn end(&mut self) -> Result<Option<Item>, Stop> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let mut cursor = Cursor::new(rest);
        cursor.byte()?;
        let sum_read = if self.version >= 5 { u64::from_le_bytes(cursor.array()?) } else { 0 };
        let sum = crc64(self.crc, &[opcode::END]);
        if sum_read != 0 && sum_read != sum {
            return Err(Stop::Bad(Problem::Checksum));
        }
        let read = cursor.at();
        self.advance(read);
        self.state = State::Ended;
        Ok(Some(Item::End))
    }
}

fn expiry(at_ms: i64) -> u64 {
    // A moment before 1970 is long gone, like every other one that has passed.
    u64::try_from(at_ms).unwrap_or(1)
}

fn read_header(cursor: &mut Cursor<'_>) -> Result<u16, Stop> {
    let header: [u8; 9] = cursor.array()?;
    let (name, valkey) = match header.strip_prefix(b"VALKEY") {
        Some(rest) => (rest, true),
        None => (header.strip_prefix(b"REDIS").ok_or(Stop::Bad(Problem::NotRdb))?, false),
    };
    let version: u16 = std::str::from_utf8(name)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(Stop::Bad(Problem::NotRdb))?;
    let known = if valkey { version == VERSION_VALKEY } else { is_version_read(version) };
    if known { Ok(version) } else { Err(Stop::Bad(Problem::Version(u32::from(version)))) }
}

pub(crate) fn is_version_read(version: u16) -> bool {
    (1..=VERSION_READ_MAX).contains(&version)
}

/// A value of which the first bytes were read.
pub(crate) enum Begun {
    Whole(Content),
    Partial(Partial),
}

/// A value of which some pieces were read.
#[derive(Debug)]
pub(crate) enum Partial {
    Elements(PartialElements),
    Stream(Box<PartialStream>),
}

impl Partial {
    /// Reads one piece; true when that was the last one.
    pub(crate) fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
        match self {
            Partial::Elements(elements) => elements.step(cursor),
            Partial::Stream(stream) => stream.step(cursor),
        }
    }

    /// The value, once [`Partial::step`] said that it is whole.
    pub(crate) fn take(&mut self) -> Content {
        match self {
            Partial::Elements(elements) => elements.take(),
            Partial::Stream(stream) => Content::Stream(Box::new(stream.take())),
        }
    }
}

/// A collection of which some elements were read.
#[derive(Debug)]
pub(crate) struct PartialElements {
    form: u8,
    left: u64,
    elements: Vec<Vec<u8>>,
}

/// Starts to read a value of type `code`.
pub(crate) fn begin(code: u8, cursor: &mut Cursor<'_>) -> Result<Begun, Stop> {
    let blob = |elements: Result<Vec<Vec<u8>>, Problem>| elements.map_err(Stop::Bad);
    let content = match code {
        kind::STRING => Content::String(cursor.string()?),
        kind::LIST
        | kind::LIST_QUICKLIST
        | kind::LIST_QUICKLIST_2
        | kind::HASH
        | kind::SET
        | kind::SORTED_SET
        | kind::SORTED_SET_2 => {
            let left = cursor.length()?;
            if left == 0 {
                return damaged("an empty collection cannot be a value");
            }
            let elements = PartialElements { form: code, left, elements: Vec::new() };
            return Ok(Begun::Partial(Partial::Elements(elements)));
        }
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => {
            return Ok(Begun::Partial(Partial::Stream(Box::new(PartialStream::new(code)))));
        }
        kind::LIST_ZIPLIST => list(blob(legacy::ziplist(&cursor.string()?))?)?,
        kind::SORTED_SET_ZIPLIST => scores::from_block(blob(legacy::ziplist(&cursor.string()?))?)?,
        kind::SORTED_SET_LISTPACK => {
            scores::from_block(blob(listpack_elements(&cursor.string()?))?)?
        }
        kind::SET_INTSET => set(blob(intset_elements(&cursor.string()?))?)?,
        kind::SET_LISTPACK => set(blob(listpack_elements(&cursor.string()?))?)?,
        kind::HASH_ZIPMAP => hash(blob(legacy::zipmap(&cursor.string()?))?)?,
        kind::HASH_ZIPLIST => hash(blob(legacy::ziplist(&cursor.string()?))?)?,
        kind::HASH_LISTPACK => hash(blob(listpack_elements(&cursor.string()?))?)?,
        other => return Err(Stop::Bad(unknown_type(other))),
    };
    Ok(Begun::Whole(content))
}

impl PartialElements {
    /// Reads one element; true when that was the last one.
    fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
        match self.form {
            kind::SORTED_SET | kind::SORTED_SET_2 => {
                let member = cursor.string()?;
                let score = match self.form {
                    kind::SORTED_SET => scores::score_of_text(cursor)?,
                    _ => f64::from_le_bytes(cursor.array()?),
                };
                self.elements.push(member);
                self.elements.push(score.to_le_bytes().to_vec());
            }
            kind::HASH => {
                let field = cursor.string()?;
                let value = cursor.string()?;
                self.elements.push(field);
                self.elements.push(value);
            }
            kind::LIST_QUICKLIST => {
                let node = legacy::ziplist(&cursor.string()?).map_err(Stop::Bad)?;
                self.elements.extend(node);
            }
            kind::LIST_QUICKLIST_2 => {
                let container = cursor.length()?;
                let node = cursor.string()?;
                match container {
                    NODE_PLAIN => self.elements.push(node),
                    NODE_PACKED => {
                        self.elements.extend(listpack_elements(&node).map_err(Stop::Bad)?);
                    }
                    _ => return damaged("there is no such quicklist node"),
                }
            }
            _ => self.elements.push(cursor.string()?),
        }
        self.left -= 1;
        if self.left == 0 && self.elements.is_empty() {
            return damaged("an empty collection cannot be a value");
        }
        if self.left == 0 && self.form == kind::HASH {
            no_field_twice(&self.elements)?;
        }
        if self.left == 0 && matches!(self.form, kind::SORTED_SET | kind::SORTED_SET_2) {
            scores::check(&self.elements)?;
        }
        if self.left == 0 && self.form == kind::SET {
            no_member_twice(&self.elements)?;
        }
        Ok(self.left == 0)
    }

    fn take(&mut self) -> Content {
        let elements = std::mem::take(&mut self.elements);
        match self.form {
            kind::HASH => pairs(elements),
            kind::SET => Content::Set(elements),
            kind::SORTED_SET | kind::SORTED_SET_2 => scores::content(elements),
            _ => Content::List(elements),
        }
    }
}

fn list(elements: Vec<Vec<u8>>) -> Result<Content, Stop> {
    if elements.is_empty() {
        return damaged("an empty collection cannot be a value");
    }
    Ok(Content::List(elements))
}

fn set(elements: Vec<Vec<u8>>) -> Result<Content, Stop> {
    if elements.is_empty() {
        return damaged("an empty collection cannot be a value");
    }
    no_member_twice(&elements)?;
    Ok(Content::Set(elements))
}

fn no_member_twice(elements: &[Vec<u8>]) -> Result<(), Stop> {
    let mut members: Vec<&Vec<u8>> = elements.iter().collect();
    members.sort_unstable();
    if members.is_sorted_by(|a, b| a < b) { Ok(()) } else { damaged("a set has a member twice") }
}

fn hash(elements: Vec<Vec<u8>>) -> Result<Content, Stop> {
    if elements.is_empty() || !elements.len().is_multiple_of(2) {
        return damaged("a hash has a field without a value");
    }
    no_field_twice(&elements)?;
    Ok(pairs(elements))
}

pub(super) fn no_field_twice(elements: &[Vec<u8>]) -> Result<(), Stop> {
    let mut fields: Vec<&Vec<u8>> = elements.iter().step_by(2).collect();
    fields.sort_unstable();
    if fields.is_sorted_by(|a, b| a < b) { Ok(()) } else { damaged("a hash has a field twice") }
}

fn pairs(elements: Vec<Vec<u8>>) -> Content {
    let mut fields = Vec::with_capacity(elements.len() / 2);
    let mut elements = elements.into_iter();
    while let (Some(field), Some(value)) = (elements.next(), elements.next()) {
        fields.push((field, value));
    }
    Content::Hash(fields)
}

fn intset_elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let numbers = IntSet::read(bytes).map_err(|_| Problem::Damaged("an intset is damaged"))?;
    Ok(numbers.iter().map(|number| IntText::new(number).to_vec()).collect())
}

fn listpack_elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    const BAD: Problem = Problem::Damaged("a listpack is damaged");
    let elements = listpack::read(bytes).map_err(|_| BAD)?;
    elements.map(|element| element.map(|e| e.to_vec()).map_err(|_| BAD)).collect()
}
