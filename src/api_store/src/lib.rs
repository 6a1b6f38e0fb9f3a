//! The embedded Kubernetes API: its store and its rules, as a value.
//!
//! [`ApiStore`] holds objects as JSON and answers get, list, create, update, patch, delete and
//! watch as a Kubernetes API server does: resource versions, generations, finalizers, owner
//! references, field ownership (server-side apply), status and scale subresources, schema
//! defaulting, pruning and validation, selectors, tables. It is pure: the time is an argument of
//! each call, random ids come from a seed given at construction, and a watch is a question
//! ("what happened after version N?"), so that the same calls give the same bytes. A clone is a
//! snapshot.
//!
//! ```text
//!   request -> Target + Context -> patch.rs  -> schema.rs  -> apply.rs  -> store.rs -> watch.rs
//!                                  (make the    (default,     (who owns    (version,   (log of
//!                                   new body)    prune, deny)  the fields)   commit)    events)
//! ```
//!
//! What it does not cover: admission webhooks, RBAC, CEL (a rule is given as a predicate),
//! conversion between versions, most of the built-in kinds' own validation, and of the merge
//! rules only those lists that [`lists`] names. It never pretends to be a production Kubernetes.
//! Not known here: sockets, clocks, processes, and who the clients are.

pub mod apply;
pub mod defaults;
pub mod discovery;
pub mod events;
pub mod failure;
pub mod fields;
pub mod garbage;
pub mod jsonpath;
pub mod lists;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod store;
pub mod strategic;
pub mod table;
pub mod watch;

pub use failure::Failure;
pub use resource::{ResourceType, Rule, TypeId};
pub use store::{ApiStore, Context, DeleteOptions, FieldValidation, Propagation, Target};
pub use watch::{Change, WatchEvent};
