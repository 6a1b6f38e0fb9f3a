//! DUMP payloads: one value with a footer, as `DUMP` gives and `RESTORE` and `MIGRATE` take it.
//!
//! ```text
//!   type | value | version (u16 LE) | crc64 of all before (u64 LE)
//! ```
//!
//! Not known here: the key, its expiry, and the store's layout of a value.

use super::cursor::{Cursor, Stop};
use super::reader::{Begun, begin, is_version_read};
use super::{Content, Problem, RdbError, VERSION_VALKEY, VERSION_WRITTEN};
use crate::crc64::crc64;

const FOOTER_BYTES: usize = 10;

/// Puts the footer behind `body`, a type and its value.
pub fn seal_payload(mut body: Vec<u8>) -> Vec<u8> {
    body.extend_from_slice(&VERSION_WRITTEN.to_le_bytes());
    let sum = crc64(0, &body);
    body.extend_from_slice(&sum.to_le_bytes());
    body
}

/// Reads a payload.
///
/// `RESTORE` answers every error with `ERR DUMP payload version or checksum are wrong` when
/// footer or checksum are to blame, and with `ERR Bad data format` otherwise; the first kind is
/// [`Problem::Version`] and [`Problem::Checksum`].
pub fn payload_content(payload: &[u8]) -> Result<Content, RdbError> {
    content(payload).map_err(|problem| RdbError { offset: 0, key: None, problem })
}

fn content(payload: &[u8]) -> Result<Content, Problem> {
    let (body, footer) = payload.split_last_chunk::<FOOTER_BYTES>().ok_or(Problem::Checksum)?;
    let (version, sum) = footer.split_last_chunk::<8>().ok_or(Problem::Checksum)?;
    let summed = payload.get(..body.len() + version.len()).unwrap_or_default();
    let version = version.first_chunk::<2>().copied().map_or(0, u16::from_le_bytes);
    if !is_version_read(version) && version != VERSION_VALKEY {
        return Err(Problem::Version(u32::from(version)));
    }
    let sum = u64::from_le_bytes(*sum);
    if sum != crc64(0, summed) {
        return Err(Problem::Checksum);
    }
    let mut cursor = Cursor::new(body);
    let content = value(&mut cursor).map_err(|stop| match stop {
        Stop::Need(_) => Problem::Truncated,
        Stop::Bad(problem) => problem,
    })?;
    if cursor.is_at_end() { Ok(content) } else { Err(Problem::Damaged("bytes follow the value")) }
}

fn value(cursor: &mut Cursor<'_>) -> Result<Content, Stop> {
    let code = cursor.byte()?;
    match begin(code, cursor)? {
        Begun::Whole(content) => Ok(content),
        Begun::Partial(mut partial) => {
            while !partial.step(cursor)? {}
            Ok(partial.take())
        }
    }
}
