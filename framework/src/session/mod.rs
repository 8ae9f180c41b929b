//! Sessions: the visitor's data between requests.
//!
//! A request records operations; the commit applies them to whatever the store holds by then, in
//! one compare-and-swap. No store knows a cookie, a merge or a user: all that is here, once.
//! `id`, `data`, `record`, `operations`, `commit` and `cookie` are pure: no I/O, no clock.

mod blocking;
mod commit;
mod cookie;
mod data;
mod events;
mod flash;
mod id;
mod in_use;
mod inspect;
mod limit;
mod login;
mod manager;
mod off_pool;
mod operations;
mod queue;
mod reader;
mod record;
mod reserved;
#[expect(clippy::module_inception, reason = "the room is named after its one noun")]
mod session;
mod settings;
mod state;
mod store;
pub mod stores;
mod timeouts;
mod turns;
mod users;
mod verbs;
mod version;
mod view;
mod watch;

#[cfg(test)]
mod tests;

pub use blocking::Blocking;
pub use id::Handle;
pub use inspect::{Inspected, InspectedSession, RecordKind};
pub use session::Session;
pub use store::{
    ChangeListener, Expected, Renewed, SessionStore, StoreError, StoreKey, Stored, Swap, Swept,
    Touch,
};

pub use users::Device;
pub use view::{SessionView, View};
pub use watch::{Change, SessionEnd};

pub(crate) use cookie::{CookiePolicy, is_session_cookie};
pub(crate) use limit::network;
pub(crate) use manager::{Claim, CookieChange, Manager, Outcome, TakenIn};
pub(crate) use reader::{Reader, to_ms};
pub(crate) use reserved::is_epoch;
pub(crate) use settings::SessionSettings;
pub(crate) use watch::{Follower, Watching};
