//! Form is checked by a test, so that reviews can be about content: lengths, headers, names,
//! and who depends on whom.
//!
//! Files are read as git lists them. Not known here: what the code does.

mod form;
mod layers;
mod sources;
