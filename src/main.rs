//! The `xetgate` binary: a thin door into the library.

use std::process::ExitCode;

/// A tenth of a small request is allocation; the system's allocator takes twice as long for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    xetgate::cli::main()
}
