//! Our node under a name that this package's tests can start. Not known here: anything else.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast_node::main_with_args(std::env::args().skip(1).collect())
}
