//! A look at a pipeline's next requests, before the first of them runs.
//!
//! Not known here: what the requests mean.

use holdfast_store::store::LOOK_AHEAD_MAX;
use holdfast_wire::resp::request::{Limits, Parser, Step};

use crate::clients::ClientId;
use crate::core::Core;

/// Bytes that are looked at ahead of their time, so that a request that comes in small pieces is
/// not read again and again.
const LOOK_AHEAD_BYTES_MAX: usize = 8192;

/// Brings the keys of the next requests into the cache, each time that those of the last look have
/// run; `count` requests of the batch have. A key is taken to be the first argument;
/// where it is not, nothing is lost but a little time.
pub(super) fn look(core: &Core, id: ClientId, input: &[u8], from: usize, count: usize) {
    // A single request gains nothing, nor does a store that is in the cache as a whole.
    const REQUEST_BYTES_MIN: usize = 20;
    const STORE_BYTES_MIN: usize = 1 << 20;
    if !count.is_multiple_of(LOOK_AHEAD_MAX) {
        return;
    }
    let is_pipeline = input.len().saturating_sub(from) > 2 * REQUEST_BYTES_MIN;
    let input = input.get(..input.len().min(from + LOOK_AHEAD_BYTES_MAX)).unwrap_or_default();
    if !is_pipeline || core.store.used_bytes() < STORE_BYTES_MIN {
        return;
    }
    let Some(client) = core.clients.get(id).filter(|client| client.authenticated) else { return };
    let limits = Limits::authenticated(LOOK_AHEAD_BYTES_MAX);
    let mut parser = Parser::new();
    let mut at = from;
    let keys = std::iter::from_fn(|| match parser.next(input, at, &limits) {
        Ok(Step::Request { end }) if end > at => {
            at = end;
            let key = parser.args().get(1).cloned().unwrap_or(0..0);
            Some(input.get(key).unwrap_or_default())
        }
        _ => None,
    });
    core.store.look_ahead(client.db, keys);
}

/// Bytes that are understood make room once nothing stands behind them, or once they are many.
pub(super) fn compact(input: &mut Vec<u8>, start: &mut usize) {
    const KEPT_BYTES_MAX: usize = 64 * 1024;
    if *start == input.len() {
        input.clear();
        *start = 0;
        if input.capacity() > KEPT_BYTES_MAX {
            *input = Vec::new();
        }
    } else if *start > KEPT_BYTES_MAX {
        input.drain(..*start);
        *start = 0;
    }
}
