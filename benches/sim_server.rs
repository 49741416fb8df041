//! The simulated engine as a program of its own, for measurements before and beside `bench`:
//! the same as `bench serve sim`, with the same options.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    sim: bench::serve::sim::SimArgs,
    /// Cargo passes it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match bench::serve::sim::run(&Args::parse().sim) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
