//! Form is checked by a test, so that reviews can be about content: lengths, headers, names,
//! and who depends on whom.
//!
//! Files are read as git lists them. Not known here: what the code does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends by it")]

mod form;
mod layers;
mod licences;
mod sources;
