//! The cluster node: a Redis-Cluster-compatible server.
