//! The verbs that change who a session belongs to, or its id, or end it.

use std::time::SystemTime;

use super::commit::{Login, Timeouts};
use super::manager::Manager;
use super::operations::Operation;
use super::record::Lifetime;
use super::session::Session;
use super::state::{Fate, Gone, Open, State};
use super::users::note_device;
use crate::error::{Error, ErrorKind, Result};

/// A user's name has one byte for its length in a record.
const MAX_USER_BYTES: usize = 255;

impl Session {
    /// Binds the session to `user`, who has just proved who they are. At commit the session gets a
    /// fresh id and the old one ends, so an id planted before the login (session fixation) is
    /// worth nothing; the data is kept. If the handler fails afterwards the session is as before.
    ///
    /// User agent and address of the request are noted for [`sessions_of`](Self::sessions_of). A
    /// user who has `max_sessions_per_user` sessions already loses the one with the oldest login,
    /// or the commit is refused, as `max_sessions_per_user_policy` says ([`save`](Self::save) tells
    /// a handler that wants to know).
    ///
    /// # Errors
    /// `SessionGone` if the id was replaced by another request meanwhile; `SessionClosed` after
    /// the response head, when no cookie can follow; `SessionValue` if `user` is empty or longer
    /// than 255 bytes; at commit `TooManySessions` (409). And the errors of every verb (see
    /// [`Session`]).
    pub fn login(&self, user: impl std::fmt::Display) -> Result<()> {
        let user = user_name(&user)?;
        self.change_id(Fate::Regenerate, |manager| {
            let at = Some(manager.clock.now());
            login(manager, user, at).map(Some)
        })
    }

    /// Binds the session to `user` without a new id and without counting as a login: for a user
    /// known by other means, such as a client certificate. An id that somebody planted (session
    /// fixation) would be bound with it, so after a password or a token use
    /// [`login`](Self::login).
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub fn bind_user(&self, user: impl std::fmt::Display) -> Result<()> {
        let user = user_name(&user)?;
        self.with_state(|state, manager| {
            let addr = state.addr;
            let open = manager.loaded(state)?;
            refuse_gone(open)?;
            let login = login(manager, user, None)?;
            open.write(note_device(manager.user_agent(), addr)?, usize::MAX)?;
            open.login = Some(login);
            Ok(())
        })
    }

    /// Ends the session, like [`destroy`](Self::destroy). What is written later in the same request
    /// (a flash message) starts a new, empty session with a fresh id.
    ///
    /// # Errors
    /// As [`destroy`](Self::destroy).
    pub fn logout(&self) -> Result<()> {
        self.destroy()
    }

    /// Ends the session at commit: no request in flight can bring it back, and the browser is told
    /// to drop the cookie. A handler that fails afterwards has ended nothing.
    ///
    /// If the store does not say that the end holds everywhere (a replica of redis that is silent,
    /// say) the answer is 503 and the browser keeps its cookie: another try finds the session ended
    /// and succeeds when that is certain.
    ///
    /// A request that gives the session another id meanwhile (`regenerate`, `login`, `rotate`) does
    /// not save it: the session ends under its new id. An id that had ended before this request came
    /// ends nobody's session.
    ///
    /// # Errors
    /// `SessionGone` (409) if the id had been replaced before this request came, and the session
    /// lives on under its new id: a success would tell the visitor that it has ended. The same at
    /// commit if the id is unknown by then and the request took 30 seconds or longer: ended ids are
    /// remembered for a minute only, so the session may live under another. And the errors of every
    /// verb (see [`Session`]).
    pub fn destroy(&self) -> Result<()> {
        self.with(|open, manager| {
            if let Gone::Before(successor) = open.gone
                && manager.lives(successor)?
            {
                return refuse_gone(open);
            }
            // Another logout ended it, and failed afterwards: this success must hold.
            if let Some(ended) = open.ended.filter(|_| open.base.is_none() && !open.is_gone()) {
                manager.lives(ended)?;
            }
            open.end();
            Ok(())
        })
    }

    /// Gives the session a fresh id at commit and ends the old one, without an alias: use it
    /// whenever the visitor's rights change. Without a stored session there is nothing to do.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub fn regenerate(&self) -> Result<()> {
        self.change_id(Fate::Regenerate, |_| Ok(None))
    }

    /// Renews the id at commit. Requests that still carry the old one are served, and told the new
    /// one, for the time `rotate_grace`; any number of requests that rotate at once get the same
    /// new id.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub fn rotate(&self) -> Result<()> {
        self.change_id(Fate::Rotate, |_| Ok(None))
    }

    /// The user this session is bound to.
    ///
    /// # Errors
    /// Only those of every verb (see [`Session`]).
    pub fn user(&self) -> Result<Option<String>> {
        self.with(|open, _| Ok(open.user().map(str::to_owned)))
    }

    fn change_id(
        &self,
        fate: Fate,
        login: impl FnOnce(&Manager) -> Result<Option<Login>>,
    ) -> Result<()> {
        self.with_state(|state: &mut State, manager| {
            let (head_sent, addr) = (state.head_sent, state.addr);
            let open = manager.loaded(state)?;
            if head_sent {
                let what = "the response head was sent: a new id cannot reach the browser";
                return Err(Error::new(ErrorKind::SessionClosed, what));
            }
            refuse_gone(open)?;
            if fate == Fate::Rotate && open.is_renewed {
                // The id that came is rotated already: all who hold it shall get the one new id.
                return Ok(());
            }
            if let Some(login) = login(manager)? {
                open.write(Operation::ClearFramework, usize::MAX)?;
                open.write(note_device(manager.user_agent(), addr)?, usize::MAX)?;
                open.login = Some(login);
            }
            open.change_id(fate);
            Ok(())
        })
    }
}

fn user_name(user: &impl std::fmt::Display) -> Result<Box<str>> {
    let user = user.to_string();
    if user.is_empty() || user.len() > MAX_USER_BYTES {
        let what = "the name of a session's user must have 1 to 255 bytes";
        return Err(Error::new(ErrorKind::SessionValue, what));
    }
    Ok(user.into())
}

fn login(manager: &Manager, user: Box<str>, at: Option<SystemTime>) -> Result<Login> {
    let epochs = manager.epochs(&user, manager.clock.now())?;
    let (idle, absolute) = (manager.settings.idle_timeout, manager.settings.absolute_timeout);
    let configured = Timeouts { idle, absolute, lifetime: Lifetime::Configured };
    Ok(Login { user, at, epochs, configured })
}

fn refuse_gone(open: &Open) -> Result<()> {
    if open.is_gone() {
        let what = "the session's id was replaced by another request";
        return Err(Error::new(ErrorKind::SessionGone, what));
    }
    Ok(())
}
