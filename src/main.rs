//! The program: see `cli`.

#![forbid(unsafe_code)]
#![deny(missing_docs, clippy::unwrap_used)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
