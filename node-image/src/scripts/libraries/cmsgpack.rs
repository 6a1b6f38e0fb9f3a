//! `cmsgpack`: MessagePack from Lua values. Reading is in `msgpack_read.rs`.
//!
//! A table with the keys 1 to n is an array, any other a map; tables below a depth of 16 are
//! written as nil. Numbers without a fraction are integers.

use mlua::{Lua, MultiValue, Table, Value};

use super::{located, msgpack_read};
use crate::scripts::engine::LUA_BYTES_MAX;

/// Tables below this depth are written as nil.
const DEPTH_MAX: usize = 16;

/// The library.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("_NAME", "cmsgpack")?;
    table.set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.set("_COPYRIGHT", "The Holdfast authors")?;
    table.set("_DESCRIPTION", "MessagePack for Lua")?;
    table.set("pack", lua.create_function(pack)?)?;
    table.set("unpack", lua.create_function(msgpack_read::unpack)?)?;
    table.set("unpack_one", lua.create_function(msgpack_read::unpack_one)?)?;
    table.set("unpack_limit", lua.create_function(msgpack_read::unpack_limit)?)?;
    Ok(table)
}

fn pack(lua: &Lua, args: MultiValue) -> mlua::Result<mlua::LuaString> {
    if args.is_empty() {
        return Err(located(lua, "bad argument #0 to 'pack' (MessagePack pack needs input.)"));
    }
    let mut out = Vec::new();
    for value in &args {
        write(&mut out, value, 0)?;
    }
    lua.create_string(out)
}

fn write(out: &mut Vec<u8>, value: &Value, depth: usize) -> mlua::Result<()> {
    // Tables that share parts may grow without bound when they are written out.
    if out.len() > LUA_BYTES_MAX {
        return Err(mlua::Error::MemoryError("not enough memory".to_owned()));
    }
    match value {
        Value::Boolean(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Value::Integer(number) => write_integer(out, *number),
        Value::Number(number) => write_number(out, *number),
        Value::String(text) => write_string(out, &text.as_bytes()),
        Value::Table(table) if depth < DEPTH_MAX => write_table(out, table, depth)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

fn write_number(out: &mut Vec<u8>, number: f64) {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if fits && number.fract() == 0.0 {
        write_integer(out, number as i64);
    } else if f64::from(number as f32) == number {
        out.push(0xca);
        out.extend_from_slice(&(number as f32).to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_integer(out: &mut Vec<u8>, number: i64) {
    match number {
        -32..=0x7f => out.push(number as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, number as u8]),
        0x100..=0xffff => write_head(out, 0xcd, &(number as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => write_head(out, 0xce, &(number as u32).to_be_bytes()),
        0x1_0000_0000.. => write_head(out, 0xcf, &number.to_be_bytes()),
        -0x80..=-33 => out.extend_from_slice(&[0xd0, number as u8]),
        -0x8000..=-0x81 => write_head(out, 0xd1, &(number as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => write_head(out, 0xd2, &(number as i32).to_be_bytes()),
        ..-0x8000_0000 => write_head(out, 0xd3, &number.to_be_bytes()),
    }
}

fn write_head(out: &mut Vec<u8>, kind: u8, rest: &[u8]) {
    out.push(kind);
    out.extend_from_slice(rest);
}

fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        len @ 0..32 => out.push(0xa0 | len as u8),
        len @ 32..=0xff => out.extend_from_slice(&[0xd9, len as u8]),
        len @ 0x100..=0xffff => write_head(out, 0xda, &(len as u16).to_be_bytes()),
        len => write_head(out, 0xdb, &(len as u32).to_be_bytes()),
    }
    out.extend_from_slice(text);
}

fn write_count(out: &mut Vec<u8>, count: usize, few: u8, many: u8) {
    match count {
        0..16 => out.push(few | count as u8),
        16..=0xffff => write_head(out, many, &(count as u16).to_be_bytes()),
        _ => write_head(out, many + 1, &(count as u32).to_be_bytes()),
    }
}

fn write_table(out: &mut Vec<u8>, table: &Table, depth: usize) -> mlua::Result<()> {
    let (mut count, mut highest, mut is_array) = (0_usize, 0, true);
    for pair in table.pairs::<Value, Value>() {
        count += 1;
        match pair?.0 {
            Value::Integer(at) if at > 0 => highest = at.max(highest),
            _ => is_array = false,
        }
    }
    if is_array && usize::try_from(highest) == Ok(count) {
        write_count(out, count, 0x90, 0xdc);
        for at in 1..=count {
            write(out, &table.raw_get::<Value>(at)?, depth + 1)?;
        }
        return Ok(());
    }
    write_count(out, count, 0x80, 0xde);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        write(out, &key, depth + 1)?;
        write(out, &value, depth + 1)?;
    }
    Ok(())
}
