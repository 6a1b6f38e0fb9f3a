//! `bit`: operations on 32 bits, as LuaJIT's library has them.
//!
//! A number is taken modulo 2^32 and given back as a signed one.

use mlua::{Lua, MultiValue, Table};

use super::number;

/// The 32 bits of a number: rounded to the nearest whole one, modulo 2^32.
fn bits(number: f64) -> u32 {
    if !number.is_finite() {
        return 0;
    }
    number.round_ties_even().rem_euclid(4_294_967_296.0) as u32
}

fn signed(bits: u32) -> f64 {
    f64::from(bits.cast_signed())
}

fn arg(lua: &Lua, args: &MultiValue, at: usize, name: &str) -> mlua::Result<u32> {
    number(lua, args, at, name).map(bits)
}

fn fold(
    lua: &Lua,
    table: &Table,
    name: &'static str,
    join: fn(u32, u32) -> u32,
) -> mlua::Result<()> {
    table.set(
        name,
        lua.create_function(move |lua, args: MultiValue| {
            let mut all = arg(lua, &args, 1, name)?;
            for at in 2..=args.len() {
                all = join(all, arg(lua, &args, at, name)?);
            }
            Ok(signed(all))
        })?,
    )
}

fn shift(
    lua: &Lua,
    table: &Table,
    name: &'static str,
    by: fn(u32, u32) -> u32,
) -> mlua::Result<()> {
    table.set(
        name,
        lua.create_function(move |lua, args: MultiValue| {
            let value = arg(lua, &args, 1, name)?;
            Ok(signed(by(value, arg(lua, &args, 2, name)? & 31)))
        })?,
    )
}

/// The library.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set(
        "tobit",
        lua.create_function(|lua, args: MultiValue| Ok(signed(arg(lua, &args, 1, "tobit")?)))?,
    )?;
    table.set(
        "bnot",
        lua.create_function(|lua, args: MultiValue| Ok(signed(!arg(lua, &args, 1, "bnot")?)))?,
    )?;
    table.set(
        "bswap",
        lua.create_function(|lua, args: MultiValue| {
            Ok(signed(arg(lua, &args, 1, "bswap")?.swap_bytes()))
        })?,
    )?;
    fold(lua, &table, "band", |a, b| a & b)?;
    fold(lua, &table, "bor", |a, b| a | b)?;
    fold(lua, &table, "bxor", |a, b| a ^ b)?;
    shift(lua, &table, "lshift", |value, by| value << by)?;
    shift(lua, &table, "rshift", |value, by| value >> by)?;
    shift(lua, &table, "arshift", |value, by| (value.cast_signed() >> by).cast_unsigned())?;
    shift(lua, &table, "rol", u32::rotate_left)?;
    shift(lua, &table, "ror", u32::rotate_right)?;
    table.set(
        "tohex",
        lua.create_function(|lua, args: MultiValue| {
            let value = arg(lua, &args, 1, "tohex")?;
            let digits =
                if args.len() < 2 { 8 } else { arg(lua, &args, 2, "tohex")?.cast_signed() };
            let text = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
            let shown = digits.unsigned_abs().min(8) as usize;
            Ok(text.get(8 - shown..).unwrap_or_default().to_owned())
        })?,
    )?;
    Ok(table)
}
