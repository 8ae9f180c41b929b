//! The numbers sessions live by; config.ini is mapped to them elsewhere.

use std::time::Duration;

use crate::config::{Concurrency, Config, UserPolicy};

/// Durations and limits of sessions, with the defaults of config.ini.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionSettings {
    /// A session nobody used for so long is gone.
    pub(crate) idle_timeout: Duration,
    /// A session this old is gone, however busy it was.
    pub(crate) absolute_timeout: Duration,
    /// Until a new anonymous session is seen again it lives only this long.
    pub(crate) first_lifetime: Option<Duration>,
    /// Last-seen, deadline and cookie are renewed at most this often.
    pub(crate) touch_every: Duration,
    /// How long the old id of a `rotate` still works.
    pub(crate) rotate_grace: Duration,
    /// How long a destroyed or replaced id is remembered.
    pub(crate) tombstone: Duration,
    /// Idle and absolute timeout of a session whose visitor wants to be remembered.
    pub(crate) remembered: (Duration, Duration),
    /// Sessions one user may have at once, and what a login beyond them does.
    pub(crate) max_sessions_per_user: usize,
    pub(crate) user_policy: UserPolicy,
    /// Whether every request takes the lock of its session at the first use.
    pub(crate) locks_requests: bool,
    /// How long a holder of a session's lock may keep others waiting.
    pub(crate) lock_lease: Duration,
    /// The largest record, encoded.
    pub(crate) max_session_bytes: usize,
    /// Sessions one client address may start per minute; 0 = no limit.
    pub(crate) new_sessions_per_minute: u32,
    /// How often watched sessions are looked at, if the store tells nothing of other processes.
    pub(crate) watch_poll: Option<Duration>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(24 * 3600),
            absolute_timeout: Duration::from_secs(30 * 24 * 3600),
            first_lifetime: None,
            touch_every: Duration::from_secs(60),
            rotate_grace: Duration::from_secs(30),
            tombstone: Duration::from_secs(60),
            remembered: (Duration::from_secs(30 * 24 * 3600), Duration::from_secs(90 * 24 * 3600)),
            max_sessions_per_user: 100,
            user_policy: UserPolicy::EndOldest,
            locks_requests: false,
            lock_lease: Duration::from_secs(30),
            max_session_bytes: 64 * 1024,
            new_sessions_per_minute: 30_000,
            watch_poll: Some(Duration::from_secs(1)),
        }
    }
}

impl SessionSettings {
    /// What `[session]` says.
    pub(crate) fn from_config(config: &Config) -> Self {
        let session = &config.session;
        Self {
            idle_timeout: session.idle_timeout,
            absolute_timeout: session.absolute_timeout,
            first_lifetime: session.first_lifetime,
            // A session in use must not expire between two touches, nor an old id outlive it.
            touch_every: session.touch_every.min(session.idle_timeout / 2),
            rotate_grace: session.rotate_grace.min(session.idle_timeout / 2),
            remembered: (session.remember_idle_timeout, session.remember_absolute_timeout),
            max_sessions_per_user: session.max_sessions_per_user,
            user_policy: session.max_sessions_per_user_policy,
            locks_requests: session.concurrency == Concurrency::Lock,
            lock_lease: session.lock_lease,
            max_session_bytes: session.max_session_bytes,
            new_sessions_per_minute: session.new_sessions_per_minute.unwrap_or(0),
            watch_poll: config.live.session_poll,
            ..Self::default()
        }
    }
}
