//! A keep-alive load generator with one cookie jar for each connection, or one for all of them.
//!
//! wrk cannot do this: its scripts do not know which connection a request goes out on, and its last
//! requests are applied but not counted. Here every request sent is waited for, so the number of
//! acknowledged bumps is exact and can be held against the counters the server ends with.

mod answer;
mod connection;
mod drive;
mod jar;
mod options;

use std::process::ExitCode;

use crate::options::Options;

fn main() -> ExitCode {
    match Options::from_args(std::env::args().skip(1)).and_then(|options| drive::run(&options)) {
        Ok(report) => {
            println!("{}", report.to_json());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
