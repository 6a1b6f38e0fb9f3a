//! The operator: it makes Redis Clusters out of `RedisCluster` objects, and keeps them whole.
//!
//! The stages in reading order, each of which knows only the ones above it:
//!
//! - [`api`] what users write and read: the object, its schema, its rules, its status;
//! - [`validate`] from an object that may be wrong to a [`validate::ValidatedCluster`];
//! - [`observed`] what was seen of the world, facts only, with their age;
//! - [`resources`] what Kubernetes objects a cluster consists of;
//! - [`plan`] what to do next, as data;
//! - [`report`] what to tell the user: status, conditions, events.
//!
//! All of these are pure: no client, no clock, no async runtime. What touches the world is behind
//! the feature `client`, and the embedded Kubernetes of `holdfast local` behind `local`.

pub mod api;
pub mod observed;
pub mod plan;
pub mod report;
pub mod resources;
pub mod validate;

#[cfg(feature = "client")]
pub mod act;
#[cfg(feature = "client")]
pub mod controller;
#[cfg(feature = "client")]
pub mod link;
#[cfg(feature = "local")]
pub mod local;
#[cfg(feature = "client")]
pub mod log;
#[cfg(feature = "client")]
pub mod metrics;
#[cfg(feature = "client")]
pub mod observe;
#[cfg(feature = "client")]
pub mod reconcile;
#[cfg(feature = "client")]
pub mod world;
