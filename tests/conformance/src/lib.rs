//! Dialogues spoken to our node and to real peers; equal replies demanded.
