//! Reading MessagePack into Lua values.
//!
//! Lengths that the input claims allocate nothing: what is not there ends the reading.

use mlua::{Lua, MultiValue, Value};

use super::{bytes, located, number};

/// How deep values may be nested.
const DEPTH_MAX: usize = 1000;

enum Failed {
    Ended,
    Malformed,
    Lua(mlua::Error),
}

impl From<mlua::Error> for Failed {
    fn from(error: mlua::Error) -> Self {
        Failed::Lua(error)
    }
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Failed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Failed::Ended)?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned number of so many bytes.
    fn unsigned(&mut self, count: usize) -> Result<u64, Failed> {
        Ok(self.take(count)?.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    /// A signed number of so many bytes.
    fn signed(&mut self, count: u32) -> Result<Value, Failed> {
        let shift = 64 - 8 * count;
        let bits = self.unsigned(count as usize)? << shift;
        Ok(Value::Number((bits.cast_signed() >> shift) as f64))
    }

    fn string(&mut self, len: u64) -> Result<Value, Failed> {
        let len = usize::try_from(len).map_err(|_| Failed::Ended)?;
        let text = self.take(len)?;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn array(&mut self, len: u64, depth: usize) -> Result<Value, Failed> {
        let table = self.lua.create_table()?;
        for at in 1..=len {
            table.raw_set(at, self.value(depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: u64, depth: usize) -> Result<Value, Failed> {
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let key = self.value(depth + 1)?;
            table.raw_set(key, self.value(depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Failed> {
        if depth > DEPTH_MAX {
            return Err(Failed::Malformed);
        }
        let kind = *self.take(1)?.first().ok_or(Failed::Ended)?;
        match kind {
            0x00..=0x7f => Ok(Value::Number(f64::from(kind))),
            0xe0..=0xff => Ok(Value::Number(f64::from(kind.cast_signed()))),
            0x80..=0x8f => self.map(u64::from(kind & 15), depth),
            0x90..=0x9f => self.array(u64::from(kind & 15), depth),
            0xa0..=0xbf => self.string(u64::from(kind & 31)),
            0xc0 => Ok(Value::Nil),
            0xc2 => Ok(Value::Boolean(false)),
            0xc3 => Ok(Value::Boolean(true)),
            0xc4 | 0xd9 => self.unsigned(1).and_then(|len| self.string(len)),
            0xc5 | 0xda => self.unsigned(2).and_then(|len| self.string(len)),
            0xc6 | 0xdb => self.unsigned(4).and_then(|len| self.string(len)),
            0xca => Ok(Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32)))),
            0xcb => Ok(Value::Number(f64::from_bits(self.unsigned(8)?))),
            0xcc => Ok(Value::Number(self.unsigned(1)? as f64)),
            0xcd => Ok(Value::Number(self.unsigned(2)? as f64)),
            0xce => Ok(Value::Number(self.unsigned(4)? as f64)),
            0xcf => Ok(Value::Number(self.unsigned(8)? as f64)),
            0xd0 => self.signed(1),
            0xd1 => self.signed(2),
            0xd2 => self.signed(4),
            0xd3 => self.signed(8),
            0xdc => self.unsigned(2).and_then(|len| self.array(len, depth)),
            0xdd => self.unsigned(4).and_then(|len| self.array(len, depth)),
            0xde => self.unsigned(2).and_then(|len| self.map(len, depth)),
            0xdf => self.unsigned(4).and_then(|len| self.map(len, depth)),
            _ => Err(Failed::Malformed),
        }
    }
}

/// Reads up to `limit` values (0: all, if `offset` is 0, too) from `offset` on.
fn read(lua: &Lua, text: &[u8], limit: i64, offset: i64) -> mlua::Result<MultiValue> {
    if limit < 0 || offset < 0 {
        let text =
            format!("Invalid request to unpack with offset of {offset} and limit of {limit}.");
        return Err(located(lua, &text));
    }
    let all = limit == 0 && offset == 0;
    let Some(rest) = usize::try_from(offset).ok().and_then(|offset| text.get(offset..)) else {
        let len = text.len();
        let text = format!("Start offset {offset} greater than input length {len}.");
        return Err(located(lua, &text));
    };
    let mut reader = Reader { lua, rest };
    let mut values = MultiValue::new();
    let mut count = 0;
    while !reader.rest.is_empty() && (all || count < limit) {
        match reader.value(0) {
            Ok(value) => values.push_back(value),
            Err(Failed::Ended) => return Err(located(lua, "Missing bytes in input.")),
            Err(Failed::Malformed) => return Err(located(lua, "Bad data format in input.")),
            Err(Failed::Lua(error)) => return Err(error),
        }
        count += 1;
    }
    if !all {
        let left = reader.rest.len();
        let next = if left == 0 { -1.0 } else { (text.len() - left) as f64 };
        values.push_front(Value::Number(next));
    }
    Ok(values)
}

pub(super) fn unpack(lua: &Lua, args: MultiValue) -> mlua::Result<MultiValue> {
    let text = bytes(lua, &args, 1, "unpack")?;
    read(lua, &text, 0, 0)
}

fn offset(lua: &Lua, args: &MultiValue, at: usize, name: &str) -> mlua::Result<i64> {
    match args.get(at - 1) {
        None | Some(Value::Nil) => Ok(0),
        _ => number(lua, args, at, name).map(|number| number as i64),
    }
}

pub(super) fn unpack_one(lua: &Lua, args: MultiValue) -> mlua::Result<MultiValue> {
    let text = bytes(lua, &args, 1, "unpack_one")?;
    read(lua, &text, 1, offset(lua, &args, 2, "unpack_one")?)
}

pub(super) fn unpack_limit(lua: &Lua, args: MultiValue) -> mlua::Result<MultiValue> {
    let text = bytes(lua, &args, 1, "unpack_limit")?;
    let limit = number(lua, &args, 2, "unpack_limit")? as i64;
    read(lua, &text, limit, offset(lua, &args, 3, "unpack_limit")?)
}
