//! `cjson`: JSON texts from Lua values, and the options of both directions.
//!
//! A table whose keys are all positive whole numbers is an array, any other (and an empty one) an
//! object; an array with too many holes is refused. Reading is in `json_read.rs`.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value};

use super::{bytes, json_read, located, number};
use crate::scripts::engine::LUA_BYTES_MAX;

/// How deep values may be nested, whatever the options say: the reader and the writer recurse.
const DEPTH_MAX: i64 = 1000;

/// How numbers without a JSON form are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

/// The options of one instance of the library.
#[derive(Debug, Clone)]
pub(super) struct Options {
    sparse_convert: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
    encode_max_depth: i64,
    pub(super) decode_max_depth: i64,
    precision: i64,
    keep_buffer: bool,
    encode_invalid: Invalid,
    pub(super) decode_invalid: bool,
}

const DEFAULTS: Options = Options {
    sparse_convert: false,
    sparse_ratio: 2,
    sparse_safe: 10,
    encode_max_depth: 1000,
    decode_max_depth: 1000,
    precision: 14,
    keep_buffer: true,
    encode_invalid: Invalid::Refused,
    decode_invalid: true,
};

type Shared = Rc<RefCell<Options>>;

/// The library, with options of its own.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    let options: Shared = Rc::new(RefCell::new(DEFAULTS));
    let table = lua.create_table()?;
    table.set("_NAME", "cjson")?;
    table.set("_VERSION", "2.1.0")?;
    table.set("null", Value::NULL)?;
    table.set("new", lua.create_function(|lua, ()| self::table(lua))?)?;
    let shared = Rc::clone(&options);
    table.set(
        "encode",
        lua.create_function(move |lua, args: MultiValue| {
            one_argument(lua, &args, "encode")?;
            let mut out = Vec::new();
            let value = args.front().cloned().unwrap_or(Value::Nil);
            Writer { lua, options: &shared.borrow(), out: &mut out }.value(&value, 0)?;
            lua.create_string(out)
        })?,
    )?;
    let shared = Rc::clone(&options);
    table.set(
        "decode",
        lua.create_function(move |lua, args: MultiValue| {
            one_argument(lua, &args, "decode")?;
            let text = bytes(lua, &args, 1, "decode")?;
            let options = shared.borrow().clone();
            let depth_max = options.decode_max_depth.min(DEPTH_MAX);
            json_read::read(lua, &text, options.decode_invalid, depth_max)
        })?,
    )?;
    integer(lua, &table, &options, "encode_max_depth", i64::from(i32::MAX), |o| {
        &mut o.encode_max_depth
    })?;
    integer(lua, &table, &options, "decode_max_depth", i64::from(i32::MAX), |o| {
        &mut o.decode_max_depth
    })?;
    integer(lua, &table, &options, "encode_number_precision", 14, |o| &mut o.precision)?;
    flag(lua, &table, &options, "encode_keep_buffer", |o| &mut o.keep_buffer)?;
    flag(lua, &table, &options, "decode_invalid_numbers", |o| &mut o.decode_invalid)?;
    let shared = Rc::clone(&options);
    table.set(
        "encode_invalid_numbers",
        lua.create_function(move |lua, args: MultiValue| {
            encode_invalid_numbers(lua, &args, &mut shared.borrow_mut())
        })?,
    )?;
    table.set(
        "encode_sparse_array",
        lua.create_function(move |lua, args: MultiValue| {
            encode_sparse_array(lua, &args, &mut options.borrow_mut())
        })?,
    )?;
    Ok(table)
}

fn one_argument(lua: &Lua, args: &MultiValue, name: &str) -> mlua::Result<()> {
    if args.len() == 1 {
        return Ok(());
    }
    Err(located(lua, &format!("bad argument #1 to '{name}' (expected 1 argument)")))
}

fn whole_between(
    lua: &Lua,
    args: &MultiValue,
    at: usize,
    name: &str,
    range: (i64, i64),
) -> mlua::Result<i64> {
    let value = number(lua, args, at, name)? as i64;
    if value < range.0 || value > range.1 {
        return Err(located(
            lua,
            &format!(
                "bad argument #{at} to '{name}' (expected integer between {} and {})",
                range.0, range.1
            ),
        ));
    }
    Ok(value)
}

fn given(args: &MultiValue, at: usize) -> bool {
    args.get(at - 1).is_some_and(|value| !value.is_nil())
}

fn integer(
    lua: &Lua,
    table: &Table,
    options: &Shared,
    name: &'static str,
    max: i64,
    place: fn(&mut Options) -> &mut i64,
) -> mlua::Result<()> {
    let options = Rc::clone(options);
    table.set(
        name,
        lua.create_function(move |lua, args: MultiValue| {
            let mut options = options.borrow_mut();
            let place = place(&mut options);
            if given(&args, 1) {
                *place = whole_between(lua, &args, 1, name, (1, max))?;
            }
            Ok(*place)
        })?,
    )
}

fn is_word(text: &mlua::LuaString, word: &str) -> bool {
    *text.as_bytes() == *word.as_bytes()
}

fn switch(lua: &Lua, args: &MultiValue, at: usize, name: &str) -> mlua::Result<bool> {
    match args.get(at - 1) {
        Some(Value::Boolean(value)) => Ok(*value),
        Some(Value::String(word)) if is_word(word, "on") => Ok(true),
        Some(Value::String(word)) if is_word(word, "off") => Ok(false),
        _ => {
            let word = bytes(lua, args, at, name)?;
            let word = String::from_utf8_lossy(&word).into_owned();
            Err(located(lua, &format!("bad argument #{at} to '{name}' (invalid option '{word}')")))
        }
    }
}

fn flag(
    lua: &Lua,
    table: &Table,
    options: &Shared,
    name: &'static str,
    place: fn(&mut Options) -> &mut bool,
) -> mlua::Result<()> {
    let options = Rc::clone(options);
    table.set(
        name,
        lua.create_function(move |lua, args: MultiValue| {
            let mut options = options.borrow_mut();
            let place = place(&mut options);
            if given(&args, 1) {
                *place = switch(lua, &args, 1, name)?;
            }
            Ok(*place)
        })?,
    )
}

fn encode_invalid_numbers(
    lua: &Lua,
    args: &MultiValue,
    options: &mut Options,
) -> mlua::Result<Value> {
    if given(args, 1) {
        options.encode_invalid = match args.front() {
            Some(Value::String(word)) if is_word(word, "null") => Invalid::Null,
            _ if switch(lua, args, 1, "encode_invalid_numbers")? => Invalid::Written,
            _ => Invalid::Refused,
        };
    }
    Ok(match options.encode_invalid {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => Value::String(lua.create_string("null")?),
    })
}

fn encode_sparse_array(
    lua: &Lua,
    args: &MultiValue,
    options: &mut Options,
) -> mlua::Result<(bool, i64, i64)> {
    const NAME: &str = "encode_sparse_array";
    if given(args, 1) {
        options.sparse_convert = switch(lua, args, 1, NAME)?;
    }
    if given(args, 2) {
        options.sparse_ratio = whole_between(lua, args, 2, NAME, (0, i64::from(i32::MAX)))?;
    }
    if given(args, 3) {
        options.sparse_safe = whole_between(lua, args, 3, NAME, (0, i64::from(i32::MAX)))?;
    }
    Ok((options.sparse_convert, options.sparse_ratio, options.sparse_safe))
}

struct Writer<'a> {
    lua: &'a Lua,
    options: &'a Options,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: i64) -> mlua::Result<()> {
        // Tables that share parts may grow without bound when they are written out.
        if self.out.len() > LUA_BYTES_MAX {
            return Err(mlua::Error::MemoryError("not enough memory".to_owned()));
        }
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => {
                self.out.extend_from_slice(b"null");
            }
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Integer(number) => self.number(*number as f64)?,
            Value::Number(number) => self.number(*number)?,
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Table(table) => self.table(table, depth + 1)?,
            other => {
                let kind = other.type_name();
                let text = format!("Cannot serialise {kind}: type not supported");
                return Err(located(self.lua, &text));
            }
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        if !number.is_finite() {
            match self.options.encode_invalid {
                Invalid::Refused => {
                    let text = "Cannot serialise number: must not be NaN or Inf";
                    return Err(located(self.lua, text));
                }
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                Invalid::Written => {}
            }
        }
        let precision = usize::try_from(self.options.precision).unwrap_or(14);
        self.out.extend_from_slice(short(number, precision).as_bytes());
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for byte in text {
            match byte {
                b'"' | b'\\' | b'/' => self.out.extend_from_slice(&[b'\\', *byte]),
                0x08 => self.out.extend_from_slice(b"\\b"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                0x0c => self.out.extend_from_slice(b"\\f"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                0..0x20 | 0x7f => self.out.extend(format!("\\u{byte:04x}").bytes()),
                _ => self.out.push(*byte),
            }
        }
        self.out.push(b'"');
    }

    /// The highest index when the table is an array.
    fn array_len(&self, table: &Table) -> mlua::Result<Option<i64>> {
        let (mut highest, mut count) = (0, 0);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(at) if at > 0 => {
                    highest = at.max(highest);
                    count += 1;
                }
                _ => return Ok(None),
            }
        }
        let options = self.options;
        if options.sparse_ratio > 0
            && highest > count * options.sparse_ratio
            && highest > options.sparse_safe
        {
            if options.sparse_convert {
                return Ok(None);
            }
            let text = "Cannot serialise table: excessively sparse array";
            return Err(located(self.lua, text));
        }
        Ok((highest > 0).then_some(highest))
    }

    fn table(&mut self, table: &Table, depth: i64) -> mlua::Result<()> {
        if depth > self.options.encode_max_depth.min(DEPTH_MAX) {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(located(self.lua, &text));
        }
        if let Some(len) = self.array_len(table)? {
            self.out.push(b'[');
            for at in 1..=len {
                if at > 1 {
                    self.out.push(b',');
                }
                self.value(&table.raw_get::<Value>(at)?, depth)?;
            }
            self.out.push(b']');
            return Ok(());
        }
        self.out.push(b'{');
        let mut is_first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::replace(&mut is_first, false) {
                self.out.push(b',');
            }
            match &key {
                Value::String(text) => self.string(&text.as_bytes()),
                Value::Integer(_) | Value::Number(_) => {
                    self.out.push(b'"');
                    self.value(&key, depth)?;
                    self.out.push(b'"');
                }
                _ => {
                    let text = "Cannot serialise table: table key must be a number or string";
                    return Err(located(self.lua, text));
                }
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// C's `%.{precision}g`.
pub(super) fn short(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let precision = precision.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            text
        };
        text.to_owned()
    };
    let limit = i64::try_from(precision).unwrap_or(14);
    if (-4..limit).contains(&exponent) {
        let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}
