//! The embedded Kubernetes API: its store and rules as a value; no I/O, no clock.
