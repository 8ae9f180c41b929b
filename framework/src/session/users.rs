//! The verbs about users: who is bound, on which devices, and ending their sessions.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::data::{Key, Space};
use super::id::Handle;
use super::operations::{self, Operation};
use super::record::Record;
use super::session::Session;
use crate::error::{Error, ErrorKind, Result};

/// Where a session keeps what is known of its device.
const DEVICE_KEY: &str = "device";

/// A user agent longer than this is cut.
const MAX_AGENT_BYTES: usize = 255;

/// One session of a user, for a page that shows where they are logged in.
///
/// What a browser says of itself is not to be believed, nor to be shown unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Names the session in [`Session::revoke`]. It survives a change of id, and opens nothing.
    pub handle: Handle,
    /// When the session began, perhaps before the login.
    pub created: SystemTime,
    /// When the user last proved who they are in it.
    pub logged_in: Option<SystemTime>,
    /// When it was last used, to the precision of `touch_every`.
    pub last_seen: SystemTime,
    /// The `User-Agent` of the login, at most 255 bytes of it.
    pub user_agent: Option<String>,
    /// The client's address at the login.
    pub address: Option<IpAddr>,
    /// Whether it is the session that asks.
    pub is_current: bool,
}

/// User agent and address, as the record holds them.
type DeviceValue = (Option<String>, Option<IpAddr>);

impl Session {
    /// The sessions of `user`, the last used first. One that is being made by this very request is
    /// not yet among them.
    ///
    /// ```
    /// use maypole::prelude::*;
    ///
    /// fn devices(ctx: &RequestContext) -> Result<String> {
    ///     let user = ctx.session.require_user()?;
    ///     let devices = ctx.session.sessions_of(&user)?;
    ///     Ok(devices.iter().map(|device| format!("{} {:?}\n", device.handle, device.user_agent)).collect())
    /// }
    /// ```
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn sessions_of(&self, user: &str) -> Result<Vec<Device>> {
        self.with(|open, manager| {
            let current = open.visible_base().map(|base| base.record.handle);
            manager.devices(user, current)
        })
    }

    /// Ends the session of `user` with this handle, at once; false if the user has none such. Only
    /// a session of that user is ended, whoever's handle a client sends.
    ///
    /// The session that asks ends at commit, like [`destroy`](Self::destroy).
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn revoke(&self, user: &str, handle: Handle) -> Result<bool> {
        self.with(|open, manager| {
            let is_own = open.visible_base().is_some_and(|base| {
                base.record.handle == handle && base.record.user.as_deref() == Some(user)
            });
            if is_own {
                open.end();
                return Ok(true);
            }
            manager.revoke(user, handle)
        })
    }

    /// Ends all other sessions of this session's user, at once: after a change of password, say.
    /// One step, however many there are.
    ///
    /// # Errors
    /// `LoginRequired` if no user is bound; `SessionGone` if this session was ended meanwhile. And
    /// the errors of every verb (see [`Session`]).
    pub fn revoke_others(&self) -> Result<()> {
        self.with(|open, manager| manager.revoke_others(open))
    }

    /// Ends all sessions of `user`, at once and in one step, however many there are and whether
    /// listed or not. If this session is one of them it ends, too, and the browser is told to drop
    /// the cookie.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn revoke_all(&self, user: &str) -> Result<()> {
        self.with(|open, manager| {
            manager.revoke_all(user)?;
            if open.user() == Some(user) {
                open.end();
            }
            Ok(())
        })
    }

    /// Ends the sessions of all users, at once and in one step: after a leak, say. Anonymous
    /// sessions, which hold nobody's rights, stay. If this session is bound it ends, too.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn revoke_everybody(&self) -> Result<()> {
        self.with(|open, manager| {
            manager.revoke_everybody()?;
            if open.user().is_some() {
                open.end();
            }
            Ok(())
        })
    }

    /// The user this session is bound to.
    ///
    /// # Errors
    /// `LoginRequired` (403) if there is none. And the errors of every verb (see [`Session`]).
    pub fn require_user(&self) -> Result<String> {
        let nobody = || Error::new(ErrorKind::LoginRequired, "the session is bound to no user");
        self.user()?.ok_or_else(nobody)
    }

    /// Makes sure that the user proved who they are in this session no longer than `within` ago,
    /// by [`login`](Self::login): for a change of password or address, for payments.
    ///
    /// # Errors
    /// `LoginRequired` (403) if not: ask for the password and call `login` again. And the errors of
    /// every verb (see [`Session`]).
    pub fn require_recent_login(&self, within: Duration) -> Result<()> {
        self.with(|open, manager| {
            let stored = open.visible_base().map(|base| &base.record);
            let stored = stored.filter(|record| record.user.as_deref() == open.user());
            let pending = open.login.as_ref().and_then(|login| login.at);
            let at = pending.or(stored.and_then(|record| record.last_auth));
            let is_recent = open.user().is_some()
                && at.is_some_and(|at| {
                    manager.clock.now().duration_since(at).unwrap_or_default() <= within
                });
            if is_recent {
                return Ok(());
            }
            let what = "the login is not recent enough";
            Err(Error::new(ErrorKind::LoginRequired, what))
        })
    }
}

/// The operation that notes the device of the running request.
pub(super) fn note_device(agent: Option<String>, addr: Option<IpAddr>) -> Result<Operation> {
    let agent = agent.map(|mut agent| {
        agent.truncate(agent.floor_char_boundary(MAX_AGENT_BYTES));
        agent.retain(|character| !character.is_control());
        agent
    });
    let value: DeviceValue = (agent, addr);
    let key = device_key();
    let value = operations::encode(&key.name, &value)?;
    Ok(Operation::Set { key, value })
}

/// A session as its user sees it.
pub(super) fn device_of(record: &Record, last_seen: SystemTime) -> Device {
    let key = device_key();
    let value = record.data.get(&key);
    let (user_agent, address) = value
        .and_then(|bytes| operations::decode::<DeviceValue>(&key.name, bytes).ok())
        .unwrap_or_default();
    Device {
        handle: record.handle,
        created: record.created,
        logged_in: record.last_auth,
        last_seen,
        user_agent,
        address,
        is_current: false,
    }
}

fn device_key() -> Key {
    Key { space: Space::Framework, name: DEVICE_KEY.into() }
}
