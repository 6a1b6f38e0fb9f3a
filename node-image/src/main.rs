//! The program `holdfast-node`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    holdfast_node::main_with_args(std::env::args().skip(1).collect())
}
