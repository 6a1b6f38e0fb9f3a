//! The libraries that scripts find beside Lua's own: `cjson`, `cmsgpack`, `struct` and `bit`.
//!
//! All are functions of the host. What they build is bounded by the state's memory, how deep they
//! go by their own limits. Not known here: commands.

mod bit;
mod cjson;
mod cmsgpack;
mod json_read;
mod msgpack_read;
mod struct_pack;

use mlua::{Lua, MultiValue, Table, Value};

/// Puts the libraries into a table, by name.
pub fn add(lua: &Lua, libraries: &Table) -> mlua::Result<()> {
    libraries.set("bit", bit::table(lua)?)?;
    libraries.set("cjson", cjson::table(lua)?)?;
    libraries.set("cmsgpack", cmsgpack::table(lua)?)?;
    libraries.set("struct", struct_pack::table(lua)?)
}

/// An error with the place of the script's call in front, as the functions of Lua's own libraries
/// raise them.
fn located(lua: &Lua, text: &str) -> mlua::Error {
    let place = lua.inspect_stack(1, |frame| {
        let source = frame.source();
        let name = source.short_src.map(|name| name.into_owned()).unwrap_or_default();
        frame.current_line().map(|line| format!("{name}:{line}: "))
    });
    mlua::Error::runtime(format!("{}{text}", place.flatten().unwrap_or_default()))
}

/// `bad argument #1 to 'name' (number expected, got nil)`
fn bad_argument(lua: &Lua, at: usize, name: &str, wanted: &str, args: &MultiValue) -> mlua::Error {
    let got = args.get(at - 1).map_or("no value", Value::type_name);
    let got = if got == "integer" { "number" } else { got };
    located(lua, &format!("bad argument #{at} to '{name}' ({wanted} expected, got {got})"))
}

/// The number of an argument; strings that read as numbers are numbers.
fn number(lua: &Lua, args: &MultiValue, at: usize, name: &str) -> mlua::Result<f64> {
    let value = args.get(at - 1).cloned().unwrap_or(Value::Nil);
    lua.coerce_number(value)?.ok_or_else(|| bad_argument(lua, at, name, "number", args))
}

/// The bytes of an argument; numbers are their text.
fn bytes(lua: &Lua, args: &MultiValue, at: usize, name: &str) -> mlua::Result<Vec<u8>> {
    let value = args.get(at - 1).cloned().unwrap_or(Value::Nil);
    match lua.coerce_string(value)? {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Err(bad_argument(lua, at, name, "string", args)),
    }
}

#[cfg(test)]
mod tests;
