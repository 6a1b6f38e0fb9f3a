//! Promises kept on a real Kubernetes.
