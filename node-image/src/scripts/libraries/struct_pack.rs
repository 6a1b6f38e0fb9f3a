//! `struct`: numbers and strings packed as C lays them out.
//!
//!   < > byte order, !n alignment, b B h H l L T i<n> I<n> integers, f d floats, x a zero byte,
//!   s a string with a zero at its end, c<n> so many bytes, c0 as many as there are (packing) or
//!   as the number before says (unpacking)

use mlua::{Lua, MultiValue, Table, Value};

use super::{bytes, located, number};

/// Widest integer.
const INTEGER_BYTES_MAX: usize = 32;

/// Widest alignment.
const ALIGN_MAX: usize = 8;

/// The library.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("pack", lua.create_function(pack)?)?;
    table.set("unpack", lua.create_function(unpack)?)?;
    table.set("size", lua.create_function(size)?)?;
    Ok(table)
}

/// Reads a format: each option with its size, and how the bytes before it are filled up.
struct Format<'a> {
    lua: &'a Lua,
    name: &'static str,
    rest: &'a [u8],
    little: bool,
    align: usize,
}

/// One option.
struct Item {
    letter: u8,
    size: usize,
    padding: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, name: &'static str, text: &'a [u8]) -> Self {
        Format { lua, name, rest: text, little: true, align: 1 }
    }

    fn count(&mut self, otherwise: usize) -> mlua::Result<usize> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(otherwise);
        }
        let (digits, rest) = self.rest.split_at(digits);
        self.rest = rest;
        std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|count| i32::try_from(*count).is_ok())
            .ok_or_else(|| located(self.lua, "integral size overflow"))
    }

    /// The next option, for something that would stand `at` bytes from the start.
    fn next(&mut self, at: usize) -> mlua::Result<Option<Item>> {
        loop {
            let Some((letter, rest)) = self.rest.split_first() else { return Ok(None) };
            self.rest = rest;
            let size = match letter {
                b'b' | b'B' | b'x' => 1,
                b'h' | b'H' => 2,
                b'f' => 4,
                b'l' | b'L' | b'T' | b'd' => 8,
                b'c' => self.count(1)?,
                b's' => 0,
                b'i' | b'I' => {
                    let size = self.count(4)?;
                    if size > INTEGER_BYTES_MAX {
                        let text = format!(
                            "integral size {size} is larger than limit of {INTEGER_BYTES_MAX}"
                        );
                        return Err(located(self.lua, &text));
                    }
                    size
                }
                b' ' => continue,
                b'<' | b'>' => {
                    self.little = *letter == b'<';
                    continue;
                }
                b'!' => {
                    let align = self.count(ALIGN_MAX)?;
                    if !align.is_power_of_two() {
                        let text = format!("alignment {align} is not a power of 2");
                        return Err(located(self.lua, &text));
                    }
                    self.align = align;
                    continue;
                }
                other => {
                    let text = format!("invalid format option '{}'", char::from(*other));
                    return Err(bad(self.lua, 1, self.name, &text));
                }
            };
            let padding = if size == 0 || *letter == b'c' {
                0
            } else {
                let unit = size.min(self.align);
                unit.wrapping_sub(at & (unit - 1)) & (unit - 1)
            };
            return Ok(Some(Item { letter: *letter, size, padding }));
        }
    }
}

fn bad(lua: &Lua, at: usize, name: &str, why: &str) -> mlua::Error {
    located(lua, &format!("bad argument #{at} to '{name}' ({why})"))
}

fn pack(lua: &Lua, mut args: MultiValue) -> mlua::Result<mlua::LuaString> {
    // What is missing counts as nil.
    args.push_back(Value::Nil);
    let text = bytes(lua, &args, 1, "pack")?;
    let mut format = Format::new(lua, "pack", &text);
    let mut out = Vec::new();
    let mut at = 2;
    while let Some(item) = format.next(out.len())? {
        out.resize(out.len() + item.padding, 0);
        match item.letter {
            b'x' => {
                out.push(0);
                continue;
            }
            b's' | b'c' => {
                let text = bytes(lua, &args, at, "pack")?;
                let size = if item.size == 0 { text.len() } else { item.size };
                let Some(part) = text.get(..size) else {
                    return Err(bad(lua, at + 1, "pack", "string too short"));
                };
                out.extend_from_slice(part);
                if item.letter == b's' {
                    out.push(0);
                }
            }
            b'f' => {
                let value = number(lua, &args, at, "pack")? as f32;
                put(&mut out, &value.to_le_bytes(), format.little);
            }
            b'd' => {
                let value = number(lua, &args, at, "pack")?;
                put(&mut out, &value.to_le_bytes(), format.little);
            }
            _ => {
                let value = number(lua, &args, at, "pack")?;
                let bits = if value < 0.0 { (value as i64).cast_unsigned() } else { value as u64 };
                let mut wide = [0; INTEGER_BYTES_MAX];
                for (place, byte) in wide.iter_mut().zip(bits.to_le_bytes()) {
                    *place = byte;
                }
                put(&mut out, wide.get(..item.size).unwrap_or_default(), format.little);
            }
        }
        at += 1;
    }
    lua.create_string(out)
}

fn put(out: &mut Vec<u8>, bytes: &[u8], little: bool) {
    if little {
        out.extend_from_slice(bytes);
    } else {
        out.extend(bytes.iter().rev());
    }
}

fn integer(part: &[u8], little: bool, signed: bool) -> f64 {
    let mut bits: u64 = 0;
    let add = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
    if little {
        bits = part.iter().rev().fold(bits, add);
    } else {
        bits = part.iter().fold(bits, add);
    }
    if !signed {
        return bits as f64;
    }
    let shift = 64_u32.saturating_sub(8 * part.len() as u32);
    if shift >= 64 { 0.0 } else { ((bits << shift).cast_signed() >> shift) as f64 }
}

fn unpack(lua: &Lua, args: MultiValue) -> mlua::Result<MultiValue> {
    const SHORT: &str = "data string too short";
    let text = bytes(lua, &args, 1, "unpack")?;
    let data = bytes(lua, &args, 2, "unpack")?;
    let start = match args.get(2) {
        None | Some(Value::Nil) => 1.0,
        _ => number(lua, &args, 3, "unpack")?,
    };
    if start < 1.0 {
        return Err(bad(lua, 3, "unpack", "offset must be 1 or greater"));
    }
    let mut at = start as usize - 1;
    let mut format = Format::new(lua, "unpack", &text);
    let mut values = MultiValue::new();
    while let Some(item) = format.next(at)? {
        at = at.saturating_add(item.padding);
        let mut size = item.size;
        if item.letter == b'c' && size == 0 {
            size = match values.pop_back() {
                Some(Value::Number(count)) if count >= 0.0 => count as usize,
                _ => return Err(located(lua, "format 'c0' needs a previous size")),
            };
        }
        let end = at.checked_add(size).filter(|end| *end <= data.len());
        let Some(part) = end.and_then(|end| data.get(at..end)) else {
            return Err(bad(lua, 2, "unpack", SHORT));
        };
        let mut native = part.to_vec();
        if !format.little {
            native.reverse();
        }
        match item.letter {
            b'x' => {}
            b'c' => values.push_back(Value::String(lua.create_string(part)?)),
            b's' => {
                let rest = data.get(at..).unwrap_or_default();
                let Some(len) = rest.iter().position(|byte| *byte == 0) else {
                    return Err(located(lua, "unfinished string in data"));
                };
                let part = rest.get(..len).unwrap_or_default();
                values.push_back(Value::String(lua.create_string(part)?));
                size = len + 1;
            }
            b'f' => {
                let value = <[u8; 4]>::try_from(native).map_or(0.0, f32::from_le_bytes);
                values.push_back(Value::Number(f64::from(value)));
            }
            b'd' => {
                let value = <[u8; 8]>::try_from(native).map_or(0.0, f64::from_le_bytes);
                values.push_back(Value::Number(value));
            }
            letter => {
                let signed = letter.is_ascii_lowercase();
                values.push_back(Value::Number(integer(part, format.little, signed)));
            }
        }
        at += size;
    }
    values.push_back(Value::Number((at + 1) as f64));
    Ok(values)
}

fn size(lua: &Lua, args: MultiValue) -> mlua::Result<f64> {
    let text = bytes(lua, &args, 1, "size")?;
    let mut format = Format::new(lua, "size", &text);
    let mut total: usize = 0;
    while let Some(item) = format.next(total)? {
        let no_size = match (item.letter, item.size) {
            (b's', _) => Some("option 's' has no fixed size"),
            (b'c', 0) => Some("option 'c0' has no fixed size"),
            _ => None,
        };
        if let Some(why) = no_size {
            return Err(bad(lua, 1, "size", why));
        }
        total = total.saturating_add(item.padding).saturating_add(item.size);
    }
    Ok(total as f64)
}
