//! The `xetgate` binary: the entry into the library, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    xetgate::cli::main()
}
