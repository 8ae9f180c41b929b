//! The only room that names `may`: coroutines, sleep, locks and channels, sockets, the blocking pool.
//!
//! It knows nothing of HTTP, of sessions or of a request; what it carries from a coroutine to its
//! children is an opaque [`Arc`](std::sync::Arc). Every rule of stackful coroutines that is not
//! visible in a type is kept here, so that no other room has to know it.

mod acceptor;
mod alarm;
mod blocker;
mod channel;
#[cfg(test)]
pub(crate) mod checked;
mod client;
mod files;
mod hub;
mod keeper;
mod local;
mod log_limit;
mod mutex;
mod panics;
mod pool;
mod promise;
mod returns;
mod semaphore;
mod settings;
mod socket;
mod spawn;
mod stack;
mod stalls;
mod sweeper;
pub mod sync;
#[cfg(test)]
mod tests;
pub(crate) mod ticks;
mod time;
mod waiter;
mod wake;

pub(crate) use acceptor::{Acceptor, Listener};
pub(crate) use client::ClientSocket;
pub(crate) use files::read_cached;
pub(crate) use hub::{Carry, Ending, Farewell, Hub, HubSettings};
pub(crate) use keeper::{Kept, keep, thread};
pub(crate) use local::{
    Context, current_context, here, is_coroutine, is_on_pool, swap_context, with_context,
};
pub(crate) use log_limit::{LeftOut, LogLimit};
pub(crate) use panics::catch_panic;
pub use pool::blocking;
pub(crate) use pool::offload;
pub(crate) use promise::Promise;
pub(crate) use returns::home;
pub(crate) use settings::{
    RuntimeSettings, is_of_the_scheduler, raise_descriptor_limit, start, workers,
};
pub(crate) use socket::{IdleWait, Patience, Socket};
pub use spawn::{JoinHandle, Scope, scope, spawn};
pub(crate) use spawn::{run_to_end, spawn_alone};
pub(crate) use sweeper::start_sweeper;
pub use time::sleep;
pub(crate) use time::{give_way, give_way_to_all};
pub(crate) use wake::{Parker, Waker};
