//! The cluster protocol as a value; no I/O, no clock.
