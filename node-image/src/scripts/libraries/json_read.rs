//! Reading JSON texts into Lua values.
//!
//! Errors name what was expected, the kind of token that was found, and its place from 1. Not
//! known here: options, but for the two that are arguments.

use mlua::{Lua, Value};

use super::located;

/// Reads a whole text.
pub(super) fn read(
    lua: &Lua,
    text: &[u8],
    lenient_numbers: bool,
    depth_max: i64,
) -> mlua::Result<Value> {
    if let [0, _, ..] | [_, 0, ..] = text {
        return Err(located(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut reader = Reader { lua, text, at: 0, lenient_numbers, depth: 0, depth_max };
    let token = reader.token();
    let value = reader.value(token)?;
    let token = reader.token();
    match token.kind {
        Kind::End => Ok(value),
        _ => Err(reader.expected("the end", &token)),
    }
}

enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

struct Token {
    kind: Kind,
    at: usize,
}

struct Reader<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    lenient_numbers: bool,
    depth: i64,
    depth_max: i64,
}

impl Reader<'_> {
    fn expected(&self, wanted: &str, found: &Token) -> mlua::Error {
        let kind = match &found.kind {
            Kind::ObjectBegin => "T_OBJ_BEGIN",
            Kind::ObjectEnd => "T_OBJ_END",
            Kind::ArrayBegin => "T_ARR_BEGIN",
            Kind::ArrayEnd => "T_ARR_END",
            Kind::Text(_) => "T_STRING",
            Kind::Number(_) => "T_NUMBER",
            Kind::Boolean(_) => "T_BOOLEAN",
            Kind::Null => "T_NULL",
            Kind::Colon => "T_COLON",
            Kind::Comma => "T_COMMA",
            Kind::End => "T_END",
            Kind::Error(text) => text,
        };
        let place = found.at + 1;
        located(self.lua, &format!("Expected {wanted} but found {kind} at character {place}"))
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn token(&mut self) -> Token {
        while matches!(self.rest(), [b' ' | b'\t' | b'\n' | b'\r', ..]) {
            self.at += 1;
        }
        let at = self.at;
        let simple = |kind, len| (kind, len);
        let (kind, len) = match self.rest() {
            [] => simple(Kind::End, 0),
            [b'{', ..] => simple(Kind::ObjectBegin, 1),
            [b'}', ..] => simple(Kind::ObjectEnd, 1),
            [b'[', ..] => simple(Kind::ArrayBegin, 1),
            [b']', ..] => simple(Kind::ArrayEnd, 1),
            [b':', ..] => simple(Kind::Colon, 1),
            [b',', ..] => simple(Kind::Comma, 1),
            [b't', b'r', b'u', b'e', ..] => simple(Kind::Boolean(true), 4),
            [b'f', b'a', b'l', b's', b'e', ..] => simple(Kind::Boolean(false), 5),
            [b'n', b'u', b'l', b'l', ..] => simple(Kind::Null, 4),
            [b'"', ..] => return self.string(),
            [b'-' | b'0'..=b'9', ..] => {
                if !self.lenient_numbers && is_lenient(self.rest()) {
                    simple(Kind::Error("invalid number"), 0)
                } else {
                    self.number("invalid number")
                }
            }
            _ if self.lenient_numbers && is_lenient(self.rest()) => self.number("invalid token"),
            _ => simple(Kind::Error("invalid token"), 0),
        };
        self.at += len;
        Token { kind, at }
    }

    fn number(&self, otherwise: &'static str) -> (Kind, usize) {
        match leading_number(self.rest()) {
            Some((number, len)) => (Kind::Number(number), len),
            None => (Kind::Error(otherwise), 0),
        }
    }

    fn string(&mut self) -> Token {
        let begin = self.at;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.rest() {
                [] => {
                    return Token { kind: Kind::Error("unexpected end of string"), at: self.at };
                }
                [b'"', ..] => {
                    self.at += 1;
                    return Token { kind: Kind::Text(text), at: begin };
                }
                [b'\\', b'u', ..] => match unicode(self.rest()) {
                    Some((letter, len)) => {
                        let mut buffer = [0; 4];
                        text.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
                        self.at += len;
                    }
                    None => {
                        let kind = Kind::Error("invalid unicode escape code");
                        return Token { kind, at: self.at };
                    }
                },
                [b'\\', code, ..] => {
                    text.push(match code {
                        b'"' | b'\\' | b'/' => *code,
                        b'b' => 0x08,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 0x0c,
                        b'r' => b'\r',
                        _ => {
                            let kind = Kind::Error("invalid escape code");
                            return Token { kind, at: self.at };
                        }
                    });
                    self.at += 2;
                }
                [b'\\'] => {
                    return Token { kind: Kind::Error("invalid escape code"), at: self.at };
                }
                [byte, ..] => {
                    text.push(*byte);
                    self.at += 1;
                }
            }
        }
    }

    fn value(&mut self, token: Token) -> mlua::Result<Value> {
        match token.kind {
            Kind::Text(text) => Ok(Value::String(self.lua.create_string(text)?)),
            Kind::Number(number) => Ok(Value::Number(number)),
            Kind::Boolean(value) => Ok(Value::Boolean(value)),
            Kind::Null => Ok(Value::NULL),
            Kind::ObjectBegin => self.nested(Self::object),
            Kind::ArrayBegin => self.nested(Self::array),
            _ => Err(self.expected("value", &token)),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> mlua::Result<Value>) -> mlua::Result<Value> {
        self.depth += 1;
        if self.depth > self.depth_max {
            let text = format!(
                "Found too many nested data structures ({}) at character {}",
                self.depth, self.at
            );
            return Err(located(self.lua, &text));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if matches!(token.kind, Kind::ObjectEnd) {
            return Ok(Value::Table(table));
        }
        loop {
            let Kind::Text(key) = token.kind else {
                return Err(self.expected("object key string", &token));
            };
            token = self.token();
            if !matches!(token.kind, Kind::Colon) {
                return Err(self.expected("colon", &token));
            }
            token = self.token();
            let value = self.value(token)?;
            table.raw_set(self.lua.create_string(key)?, value)?;
            token = self.token();
            match token.kind {
                Kind::ObjectEnd => return Ok(Value::Table(table)),
                Kind::Comma => token = self.token(),
                _ => return Err(self.expected("comma or object end", &token)),
            }
        }
    }

    fn array(&mut self) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if matches!(token.kind, Kind::ArrayEnd) {
            return Ok(Value::Table(table));
        }
        for at in 1.. {
            let value = self.value(token)?;
            table.raw_set(at, value)?;
            token = self.token();
            match token.kind {
                Kind::ArrayEnd => break,
                Kind::Comma => token = self.token(),
                _ => return Err(self.expected("comma or array end", &token)),
            }
        }
        Ok(Value::Table(table))
    }
}

/// Numbers that C reads and JSON does not know: hexadecimal, with leading zeros, infinite, none.
fn is_lenient(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text {
        [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
        [a, b, c, ..] => {
            let word = [a, b, c].map(u8::to_ascii_lowercase);
            word == *b"inf" || word == *b"nan"
        }
        _ => false,
    }
}

/// The number at the start of a text, as C's `strtod` reads it, and its length.
fn leading_number(text: &[u8]) -> Option<(f64, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let rest = text.get(start..)?;
    let sign = if negative { -1.0 } else { 1.0 };
    let word = |name: &[u8]| rest.get(..name.len()).is_some_and(|w| w.eq_ignore_ascii_case(name));
    if word(b"infinity") || word(b"inf") {
        return Some((sign * f64::INFINITY, start + if word(b"infinity") { 8 } else { 3 }));
    }
    if word(b"nan") {
        return Some((f64::NAN.copysign(sign), start + 3));
    }
    if word(b"0x") {
        let digits = rest.get(2..)?.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 0 {
            let mut number = 0.0;
            for byte in rest.get(2..2 + digits)? {
                number = number * 16.0 + f64::from(char::from(*byte).to_digit(16)?);
            }
            return Some((sign * number, start + 2 + digits));
        }
    }
    let digits = |from: usize| {
        rest.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
    };
    let mut len = digits(0);
    let mut count = len;
    if rest.get(len) == Some(&b'.') {
        let decimals = digits(len + 1);
        count += decimals;
        len += 1 + decimals;
    }
    if count == 0 {
        return None;
    }
    if matches!(rest.get(len), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits(len + 1 + signed);
        if exponent > 0 {
            len += 1 + signed + exponent;
        }
    }
    let number: f64 = std::str::from_utf8(rest.get(..len)?).ok()?.parse().ok()?;
    Some((sign * number, start + len))
}

/// The letter of an escape `\uXXXX`, or of two that are a surrogate pair, and its length.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |from: usize| {
        let digits = text.get(from..)?.strip_prefix(b"\\u")?.get(..4)?;
        digits.iter().try_fold(0, |all, byte| Some(all * 16 + char::from(*byte).to_digit(16)?))
    };
    let first = unit(0)?;
    if (0xd800..0xdc00).contains(&first) {
        let second = unit(6).filter(|second| (0xdc00..0xe000).contains(second))?;
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return char::from_u32(code).map(|letter| (letter, 12));
    }
    char::from_u32(first).map(|letter| (letter, 6))
}
