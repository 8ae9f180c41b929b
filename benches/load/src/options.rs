//! The command line.

use std::net::SocketAddr;
use std::time::Duration;
use std::{error::Error, result};

/// Anything that ends the run.
pub(crate) type Result<T> = result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: load ADDR PATH [--connections N] [--seconds S | --requests N] \
                     [--jar none|own|shared] [--first PATH] [--check PATH]";

/// Who shares a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// No cookies at all.
    None,
    /// Each connection has its own jar.
    Own,
    /// One jar, filled before the others start, for all connections.
    Shared,
}

/// When to stop sending.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    /// After this time.
    Time(Duration),
    /// After so many requests in all.
    Requests(u64),
}

/// What to send, where, and for how long.
pub(crate) struct Options {
    pub(crate) addr: SocketAddr,
    pub(crate) path: String,
    /// The path of a jar's first request, which makes the session.
    pub(crate) first: String,
    /// Asked at the end with each jar; its answer should be the number of acknowledged requests.
    pub(crate) check: Option<String>,
    pub(crate) connections: usize,
    pub(crate) bound: Bound,
    pub(crate) sharing: Sharing,
}

impl Options {
    /// Reads `ADDR PATH` and the flags after them.
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let addr = args.next().ok_or(USAGE)?.parse()?;
        let path = args.next().ok_or(USAGE)?;
        let mut options = Self {
            addr,
            first: path.clone(),
            path,
            check: None,
            connections: 64,
            bound: Bound::Time(Duration::from_secs(3)),
            sharing: Sharing::None,
        };
        while let Some(flag) = args.next() {
            let value = args.next().ok_or(USAGE)?;
            match flag.as_str() {
                "--connections" => options.connections = value.parse()?,
                "--seconds" => {
                    options.bound = Bound::Time(Duration::try_from_secs_f64(value.parse()?)?);
                }
                "--requests" => options.bound = Bound::Requests(value.parse()?),
                "--jar" => options.sharing = sharing(&value)?,
                "--first" => options.first = value,
                "--check" => options.check = Some(value),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

fn sharing(word: &str) -> Result<Sharing> {
    match word {
        "none" => Ok(Sharing::None),
        "own" => Ok(Sharing::Own),
        "shared" => Ok(Sharing::Shared),
        _ => Err(USAGE.into()),
    }
}
