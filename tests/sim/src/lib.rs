//! Whole clusters in virtual time, with seeded faults.
