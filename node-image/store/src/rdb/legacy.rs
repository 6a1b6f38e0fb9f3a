//! Ziplists and zipmaps: how small lists and hashes lay in snapshots before Redis 7.
//!
//! ```text
//!   ziplist  bytes (u32 LE) | tail (u32 LE) | entries (u16 LE) | entry ... | 0xff
//!            entry: length of the one before (1 or 5 bytes) | encoding | value
//!   zipmap   fields (u8) | (length key | length free value free-bytes) ... | 0xff
//! ```
//!
//! Read only. Not known here: what the elements are.

use super::Problem;
use super::cursor::{Cursor, Stop, damaged};

const END: u8 = 0xff;

fn whole<T>(result: Result<T, Stop>, what: &'static str) -> Result<T, Problem> {
    result.map_err(|stop| match stop {
        Stop::Need(_) => Problem::Damaged(what),
        Stop::Bad(problem) => problem,
    })
}

/// The elements of a ziplist.
pub(crate) fn ziplist(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    whole(ziplist_elements(bytes), "a ziplist ends too early")
}

fn ziplist_elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
    let mut cursor = Cursor::new(bytes);
    if u32::from_le_bytes(cursor.array()?) as usize != bytes.len() {
        return damaged("a ziplist's length does not match");
    }
    let _tail: [u8; 4] = cursor.array()?;
    let count = u16::from_le_bytes(cursor.array()?);
    let mut elements = Vec::new();
    loop {
        match cursor.byte()? {
            END => break,
            254 => drop(cursor.take(4)?),
            _ => {}
        }
        elements.push(ziplist_element(&mut cursor)?);
    }
    if !cursor.is_at_end() || (count != u16::MAX && elements.len() != count as usize) {
        return damaged("a ziplist has not as many elements as it says");
    }
    Ok(elements)
}

fn ziplist_element(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Stop> {
    let encoding = cursor.byte()?;
    let low = u64::from(encoding & 0x3f);
    let number = match encoding {
        0x00..0x40 => return Ok(cursor.take(low)?.to_vec()),
        0x40..0x80 => {
            let length = low << 8 | u64::from(cursor.byte()?);
            return Ok(cursor.take(length)?.to_vec());
        }
        0x80 => {
            let length = u32::from_be_bytes(cursor.array()?);
            return Ok(cursor.take(u64::from(length))?.to_vec());
        }
        0xc0 => i64::from(i16::from_le_bytes(cursor.array()?)),
        0xd0 => i64::from(i32::from_le_bytes(cursor.array()?)),
        0xe0 => i64::from_le_bytes(cursor.array()?),
        0xf0 => {
            let [low, middle, high] = cursor.array()?;
            i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
        }
        0xfe => i64::from(i8::from_le_bytes(cursor.array()?)),
        0xf1..=0xfd => i64::from(encoding & 0x0f) - 1,
        _ => return damaged("there is no such ziplist encoding"),
    };
    Ok(number.to_string().into_bytes())
}

/// The fields and values of a zipmap, in turn.
pub(crate) fn zipmap(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    whole(zipmap_elements(bytes), "a zipmap ends too early")
}

fn zipmap_elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
    let mut cursor = Cursor::new(bytes);
    let _count = cursor.byte()?;
    let mut elements = Vec::new();
    loop {
        let length = match cursor.byte()? {
            END => break,
            first => zipmap_length(first, &mut cursor)?,
        };
        elements.push(cursor.take(length)?.to_vec());
        let first = cursor.byte()?;
        let length = zipmap_length(first, &mut cursor)?;
        let free = cursor.byte()?;
        elements.push(cursor.take(length)?.to_vec());
        cursor.take(u64::from(free))?;
    }
    if cursor.is_at_end() { Ok(elements) } else { damaged("a zipmap goes on after its end mark") }
}

fn zipmap_length(first: u8, cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
    match first {
        254 => Ok(u64::from(u32::from_le_bytes(cursor.array()?))),
        END => damaged("a zipmap ends between field and value"),
        short => Ok(u64::from(short)),
    }
}
