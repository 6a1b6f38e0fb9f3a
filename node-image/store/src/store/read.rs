//! The shortest ways to what many clients ask for at once.
//!
//! Not known here: requests; who asks brings the keys.

use super::Store;
use crate::{entry::Content, number::IntText, string::Text, value::Value};

/// Keys that [`Store::look_ahead`] takes in one go; more would drive each other out of the cache.
pub const LOOK_AHEAD_MAX: usize = 16;

/// The key holds no string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoString;

impl Store {
    /// The text of a key without a copy, for the commands that are used most: `None` without the
    /// key, an error when it holds no string. `uses` says whether it counts as used.
    pub fn text(
        &mut self,
        db: usize,
        key: &[u8],
        uses: bool,
        now_ms: i64,
    ) -> Result<Option<Text<'_>>, NoString> {
        let place = self.place(key);
        let Some(at) = self.live(db, place, key, now_ms) else { return Ok(None) };
        let Some(entry) = self.dbs.get(db).and_then(|db| db.at(place.slot, at)) else {
            return Ok(None);
        };
        if uses {
            entry.set_access(self.tracking.used(entry.access(), now_ms, &mut self.random));
        }
        match entry.content() {
            Content::Int(number) => Ok(Some(Text::Int(IntText::new(number)))),
            Content::Text(text, _) => Ok(Some(Text::Bytes(text))),
            Content::Value(Value::String(string)) => Ok(Some(string.text())),
            Content::Value(_) => Err(NoString),
        }
    }

    /// Brings the entries of keys that will be asked for soon into the processor's cache, all at
    /// once: memory answers many questions in the time of one.
    pub fn look_ahead<'k>(&self, db: usize, keys: impl Iterator<Item = &'k [u8]>) {
        let Some(db) = self.dbs.get(db) else { return };
        let mut places = [None; LOOK_AHEAD_MAX];
        for (ahead, key) in places.iter_mut().zip(keys) {
            let place = self.place(key);
            if let Some(table) = db.table(place.slot) {
                table.table.prefetch_bucket(place.hash);
                *ahead = Some(place);
            }
        }
        for place in places.into_iter().flatten() {
            if let Some(table) = db.table(place.slot) {
                table.table.prefetch_entry(place.hash);
            }
        }
    }
}
