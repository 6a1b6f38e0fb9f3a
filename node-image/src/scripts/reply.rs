//! Replies as Lua values, and Lua values as replies.
//!
//!   integer <-> number            status <-> {ok = text}       error <-> {err = text}
//!   bulk    <-> string            array  <-> table from 1 to the first nil
//!   nothing --> false             nothing (RESP3) <-> nil      map <-> {map = {...}}
//!   set     <-> {set = {member = true}}   double <-> {double = n}   and so on
//!
//! Which of the two columns a reply takes is said by the protocol that the script chose
//! (`redis.setresp`), not by its client's.
//!
//! **References.** A Lua state has room for a few thousand values that the host holds, however
//! much memory is left. So no more than one element a level is held at any time: a table is
//! counted first and read again to be written. Not known here: commands.

use holdfast_wire::resp::ReplyBuf;
use mlua::{Lua, Table, Value};

/// How deep a table may be nested in a reply.
const DEPTH_MAX: usize = 1000;

/// How deep a command's reply may be nested.
const READ_DEPTH_MAX: usize = 64;

/// The first reply in the bytes, which a command of ours has written.
pub fn read(lua: &Lua, bytes: &[u8]) -> mlua::Result<Value> {
    Reader { lua, rest: bytes }.value(READ_DEPTH_MAX)
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> &'a [u8] {
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n").unwrap_or(self.rest.len());
        let line = self.rest.get(..end).unwrap_or_default();
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let bytes = self.rest.get(..count).unwrap_or_default();
        self.rest = self.rest.get(count + 2..).unwrap_or_default();
        bytes
    }

    fn named(&self, name: &str, value: impl mlua::IntoLua) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn verbatim(&mut self, count: usize) -> mlua::Result<Value> {
        let bytes = self.bytes(count);
        let part = |range: Option<&[u8]>| self.lua.create_string(range.unwrap_or_default());
        let table = self.lua.create_table()?;
        table.raw_set("format", part(bytes.get(..3))?)?;
        table.raw_set("string", part(bytes.get(4..))?)?;
        self.named("verbatim_string", table)
    }

    fn value(&mut self, depth: usize) -> mlua::Result<Value> {
        let line = self.line();
        let Some((kind, text)) = line.split_first() else { return Ok(Value::Nil) };
        if depth == 0 {
            return Err(mlua::Error::runtime("too deeply nested reply"));
        }
        let number: i64 = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
        let count = usize::try_from(number);
        let string = |bytes: &[u8]| self.lua.create_string(bytes);
        match (kind, count) {
            (b'+', _) => self.named("ok", string(text)?),
            (b'-', _) => {
                let table = self.lua.create_table()?;
                table.raw_set("err", string(text)?)?;
                table.raw_set("ignore_error_stats_update", true)?;
                Ok(Value::Table(table))
            }
            (b':', _) => Ok(Value::Number(number as f64)),
            (b'$' | b'*', Err(_)) => Ok(Value::Boolean(false)),
            (b'$', Ok(count)) => Ok(Value::String(self.lua.create_string(self.bytes(count))?)),
            (b'*' | b'>', Ok(count)) => {
                let table = self.lua.create_table()?;
                for at in 1..=count {
                    table.raw_set(at, self.value(depth - 1)?)?;
                }
                Ok(Value::Table(table))
            }
            (b'%', Ok(count)) => {
                let table = self.lua.create_table()?;
                for _ in 0..count {
                    let key = self.value(depth - 1)?;
                    table.raw_set(key, self.value(depth - 1)?)?;
                }
                self.named("map", table)
            }
            (b'~', Ok(count)) => {
                let table = self.lua.create_table()?;
                for _ in 0..count {
                    table.raw_set(self.value(depth - 1)?, true)?;
                }
                self.named("set", table)
            }
            (b'|', Ok(count)) => {
                // An attribute says something about the reply behind it.
                for _ in 0..count.saturating_mul(2) {
                    self.value(depth - 1)?;
                }
                self.value(depth - 1)
            }
            (b'#', _) => Ok(Value::Boolean(text == b"t")),
            (b',', _) => {
                let number = std::str::from_utf8(text).ok().and_then(|t| t.parse::<f64>().ok());
                self.named("double", number.unwrap_or(f64::NAN))
            }
            (b'(', _) => self.named("big_number", string(text)?),
            (b'=', Ok(count)) => self.verbatim(count),
            _ => Ok(Value::Nil),
        }
    }
}

/// Writes what a script gave as the reply to its client. `resp3` is the script's choice.
pub fn write(reply: &mut ReplyBuf, value: &Value, resp3: bool) -> mlua::Result<()> {
    write_nested(reply, value, resp3, DEPTH_MAX)
}

fn write_nested(
    reply: &mut ReplyBuf,
    value: &Value,
    resp3: bool,
    depth: usize,
) -> mlua::Result<()> {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(number) => reply.integer(*number),
        Value::Number(number) => reply.integer(whole(*number)),
        Value::Boolean(value) if resp3 => reply.boolean(*value),
        Value::Boolean(true) => reply.integer(1),
        Value::Table(table) => {
            if depth == 0 {
                reply.error("ERR reached lua stack limit");
                return Ok(());
            }
            write_table(reply, table, resp3, depth)?;
        }
        _ => reply.null(),
    }
    Ok(())
}

/// A number as an integer reply: cut towards zero; what no integer can hold is the smallest one,
/// as the processor's own conversion gives it.
fn whole(number: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if fits { number as i64 } else { i64::MIN }
}

fn one_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ")
}

fn write_table(reply: &mut ReplyBuf, table: &Table, resp3: bool, depth: usize) -> mlua::Result<()> {
    if let Value::String(text) = table.raw_get::<Value>("err")? {
        write_error_line(reply, &text.as_bytes());
        return Ok(());
    }
    if let Value::String(text) = table.raw_get::<Value>("ok")? {
        write_line(reply, b'+', &text.as_bytes());
        return Ok(());
    }
    match table.raw_get::<Value>("double")? {
        Value::Integer(number) => {
            reply.double(number as f64);
            return Ok(());
        }
        Value::Number(number) if number.is_nan() => {
            // The sign that a division of zero by zero has on the usual processor is shown.
            let text = if number.is_sign_negative() { "-nan" } else { "nan" };
            if reply.is_resp3() {
                reply.raw(format!(",{text}\r\n").as_bytes());
            } else {
                reply.bulk_str(text);
            }
            return Ok(());
        }
        Value::Number(number) => {
            reply.double(number);
            return Ok(());
        }
        _ => {}
    }
    if let Value::Table(map) = table.raw_get::<Value>("map")? {
        reply.map(count_pairs(&map)?);
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            write_nested(reply, &key, resp3, depth - 1)?;
            write_nested(reply, &value, resp3, depth - 1)?;
        }
        return Ok(());
    }
    if let Value::Table(set) = table.raw_get::<Value>("set")? {
        reply.set(count_pairs(&set)?);
        for pair in set.pairs::<Value, Value>() {
            write_nested(reply, &pair?.0, resp3, depth - 1)?;
        }
        return Ok(());
    }
    if let Value::String(digits) = table.raw_get::<Value>("big_number")? {
        reply.big_number(&one_line(&digits.as_bytes()));
        return Ok(());
    }
    if let Value::Table(verbatim) = table.raw_get::<Value>("verbatim_string")?
        && let Value::String(text) = verbatim.raw_get::<Value>("string")?
        && let Value::String(format) = verbatim.raw_get::<Value>("format")?
    {
        let mut word = *b"   ";
        for (place, byte) in word.iter_mut().zip(format.as_bytes().iter()) {
            *place = *byte;
        }
        reply.verbatim(word, &text.as_bytes());
        return Ok(());
    }
    write_array(reply, table, resp3, depth)
}

fn count_pairs(table: &Table) -> mlua::Result<usize> {
    table.pairs::<Value, Value>().try_fold(0, |count, pair| pair.map(|_| count + 1))
}

fn write_array(reply: &mut ReplyBuf, table: &Table, resp3: bool, depth: usize) -> mlua::Result<()> {
    let mut count = 0;
    while !table.raw_get::<Value>(count + 1)?.is_nil() {
        count += 1;
    }
    reply.array(count);
    for at in 1..=count {
        write_nested(reply, &table.raw_get::<Value>(at)?, resp3, depth - 1)?;
    }
    Ok(())
}

/// An error line of any bytes; breaks of lines become spaces.
pub fn write_error_line(reply: &mut ReplyBuf, text: &[u8]) {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    write_line(reply, b'-', text);
}

fn write_line(reply: &mut ReplyBuf, kind: u8, text: &[u8]) {
    let flat = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    let mut line = vec![kind];
    line.extend(text.iter().map(flat));
    line.extend_from_slice(b"\r\n");
    reply.raw(&line);
}
