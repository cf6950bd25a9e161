//! The `xetgate` binary: a thin door into the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    xetgate::cli::main()
}
