//! The changes of a session, for handlers that wait for them and for sockets that pass them on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::mail::{Close, Identity, Mail, Subscription, Teller, sealed};
use super::mailbox::{Mailbox, Post, Received, WhenFull};
use crate::error::Result;
use crate::runtime::sync::ShortLock;
use crate::session::{Change, Follower, Session, SessionEnd, Watching};

/// What happens to a watched session; see [`Changes`].
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// A commit changed values.
    Changed(Arc<Change>),
    /// The session has ended; nothing comes after it.
    Ended(SessionEnd),
}

/// The changes of one session from now on, made by [`Session::changes`].
///
/// It tells what any request, tab, coroutine or node changed, also this one itself, in the order of
/// the versions, and the end of the session. Who reads the session after this was made misses
/// nothing: a later change is told. At most one change waits, here and at a socket that follows: a
/// newer one is joined with it, so that it tells the keys of both, and a slow reader costs no
/// memory. The end is told in any case, after what changed before it. A rotation of the id is followed; after
/// `login` or `regenerate` the session has ended for the holder of the old id.
///
/// Give it to [`WebSocket::follow`](super::WebSocket::follow) or
/// [`EventStream::follow`](super::EventStream::follow), or read it: by [`next`](Iterator::next),
/// which waits, or [`next_timeout`](Self::next_timeout). Dropping it ends the watching;
/// once it was given to a socket or stream, that follows until it ends.
///
/// ```no_run
/// use maypole::live::SessionEvent;
/// use maypole::prelude::*;
/// use std::time::Duration;
///
/// /// A long poll: answers when another tab has changed the session.
/// fn poll(ctx: &RequestContext) -> Result<String> {
///     let mut changes = ctx.session.changes()?;
///     Ok(match changes.next_timeout(Duration::from_secs(20)) {
///         Some(SessionEvent::Changed(change)) => format!("changed: {:?}", change.keys()),
///         Some(_) => "the session has ended".to_owned(),
///         None => "nothing new".to_owned(),
///     })
/// }
/// ```
pub struct Changes {
    relay: Arc<Relay>,
    mailbox: Mailbox<Mail>,
    watching: Watching,
    is_over: bool,
}

impl Session {
    /// Watches this session from now on; see [`Changes`].
    ///
    /// ```
    /// use maypole::live::Event;
    /// use maypole::prelude::*;
    ///
    /// let mut app = App::with_defaults();
    /// # let dir = std::env::temp_dir().join(format!("maypole-changes-{}", std::process::id()));
    /// # app.config_mut().session_file.path = dir.clone();
    /// app.get("/", |ctx| Ok(format!("count: {}", ctx.session.increment("count", 0)?)));
    /// app.post("/click", |ctx| Ok(ctx.session.increment("count", 1)?.to_string()));
    /// app.get("/live", |ctx| {
    ///     ctx.websocket(|ws| {
    ///         ws.follow(session().changes()?)?; // first this, then read: nothing is missed
    ///         loop {
    ///             ws.send(session().get_or("count", 0)?.to_string())?;
    ///             if ws.recv()?.is_none() {
    ///                 return Ok(());
    ///             }
    ///         }
    ///     })
    /// });
    /// # let client = app.test_client()?;
    /// # assert_eq!(client.get("/").send().text(), "count: 0");
    /// # assert_eq!(client.get("/live").send().status(), 426);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), maypole::Error>(())
    /// ```
    ///
    /// # Errors
    /// `NoSession` (409) if none is stored yet: watching starts no session, since a socket could
    /// not send its cookie. Let the page that opens the socket write something, as above.
    /// `SessionGone` if it has ended meanwhile. Passed on with `?` by the handler of a WebSocket both
    /// close it with `[live] session_end_close`, as the end of a session does; asked for before
    /// [`websocket`](crate::RequestContext::websocket) they refuse the handshake. And the errors of every verb (see [`Session`]).
    pub fn changes(&self) -> Result<Changes> {
        // What is told of a session is joined, and does not count: it never becomes full.
        let mailbox = Mailbox::new(1, WhenFull::Close);
        let relay = Arc::new(Relay(ShortLock::new(mailbox.post())));
        let follower: Arc<dyn Follower> = Arc::<Relay>::clone(&relay);
        let watching = self.watch(&follower)?;
        Ok(Changes { relay, mailbox, watching, is_over: false })
    }
}

impl Changes {
    /// As [`next`](Iterator::next), for at most `limit`: `None` if nothing came, and after the end.
    /// On a coroutine or a thread, which waits meanwhile.
    pub fn next_timeout(&mut self, limit: Duration) -> Option<SessionEvent> {
        self.receive(Some(limit))
    }

    fn receive(&mut self, limit: Option<Duration>) -> Option<SessionEvent> {
        while !self.is_over {
            match self.mailbox.recv(limit) {
                Received::Letter(Mail::Change(_, change)) => {
                    return Some(SessionEvent::Changed(change));
                }
                Received::Letter(Mail::Ended(end)) => {
                    self.is_over = true;
                    return Some(SessionEvent::Ended(end));
                }
                Received::Nothing if limit.is_some() => return None,
                Received::Overflowed => self.is_over = true,
                // Nothing else is posted here.
                Received::Letter(_) | Received::Missed(_) | Received::Nothing => {}
            }
        }
        None
    }
}

/// Waits for each event in turn; ends after the end of the session.
impl Iterator for Changes {
    type Item = SessionEvent;

    fn next(&mut self) -> Option<SessionEvent> {
        self.receive(None)
    }
}

impl sealed::Source for Changes {
    #[expect(private_interfaces, reason = "nobody outside can call it")]
    fn subscribe(self, post: Post<Mail>) -> Result<Subscription> {
        let Self { relay, mailbox, watching, .. } = self;
        // Under the relay's lock, so that what comes now is posted behind what came before.
        relay.0.with(|to| {
            while let Received::Letter(mail) = mailbox.take() {
                post.send(mail);
            }
            *to = post;
        });
        // With the relay, so that its place in memory tells it from others while letters of its
        // are there.
        Ok(Subscription::new((relay, watching)))
    }

    #[expect(private_interfaces, reason = "nobody outside can call it")]
    fn identity(&self) -> Option<Identity> {
        Some(Identity { place: self.watching.place(), name: None })
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// Brings news to where they are read: at first the own mailbox, then that of a connection.
struct Relay(ShortLock<Post<Mail>>);

impl Follower for Relay {
    fn wants_changes(&self) -> bool {
        true
    }

    fn changed(&self, change: &Arc<Change>) {
        let teller = Teller(std::ptr::from_ref(self).addr());
        self.0.with(|post| post.send(Mail::Change(teller, Arc::clone(change))));
    }

    fn ended(&self, end: SessionEnd) {
        self.0.with(|post| post.send(Mail::Ended(end)));
    }
}

/// Closes a connection when its session ends.
pub(super) struct Closing {
    pub(super) post: Post<Mail>,
    pub(super) code: u16,
}

impl Follower for Closing {
    fn wants_changes(&self) -> bool {
        false
    }

    fn changed(&self, _: &Arc<Change>) {}

    fn ended(&self, end: SessionEnd) {
        self.post.send(Mail::Close(Close { code: self.code, reason: end.reason() }));
    }
}
