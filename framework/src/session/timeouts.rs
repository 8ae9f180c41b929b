//! The verbs that give one session a lifetime of its own.

use std::time::Duration;

use super::commit::Timeouts;
use super::record::Lifetime;
use super::session::Session;
use crate::error::{Error, ErrorKind, Result};

/// As long as config.ini allows.
const MAX_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Session {
    /// Gives this session other timeouts than config.ini's, from the commit on: it ends when it was
    /// not used for `idle`, and in any case `absolute` after its creation. The cookie follows,
    /// unless cookies end with the browser window (`cookie_lifespan = 0`).
    ///
    /// They hold until they are set again; a login by another user ends them.
    ///
    /// # Errors
    /// `SessionValue` if one of them is zero or longer than ten years of 365 days, or `idle` is
    /// longer than `absolute`. And the errors of every verb (see [`Session`]).
    pub fn set_timeouts(&self, idle: Duration, absolute: Duration) -> Result<()> {
        if idle.is_zero() || idle > absolute || absolute > MAX_TIMEOUT {
            let what = format!("timeouts of {idle:?} (idle) and {absolute:?} cannot be set");
            return Err(Error::new(ErrorKind::SessionValue, what));
        }
        self.with(|open, _| {
            open.timeouts = Some(Timeouts { idle, absolute, lifetime: Lifetime::Own });
            Ok(())
        })
    }

    /// Remembers the visitor: the session lives as `remember_idle_timeout` and
    /// `remember_absolute_timeout` say, and its cookie as long, also when cookies else end with
    /// the browser window. There is no second token that could be stolen or forgotten at logout.
    ///
    /// ```
    /// use maypole::prelude::*;
    ///
    /// fn welcome(ctx: &RequestContext, user: &str, stay: bool) -> Result<()> {
    ///     ctx.session.login(user)?; // after the password was checked
    ///     if stay { ctx.session.remember() } else { Ok(()) }
    /// }
    /// ```
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn remember(&self) -> Result<()> {
        self.with(|open, manager| {
            let (idle, absolute) = manager.settings.remembered;
            open.timeouts = Some(Timeouts { idle, absolute, lifetime: Lifetime::Remembered });
            Ok(())
        })
    }
}
