//! What a mailbox of this room holds.

use std::fmt;
use std::sync::Arc;

use super::mailbox::{Letter, Post};
use super::topic::Message;
use crate::error::Result;
use crate::session::{Change, SessionEnd};

/// One piece of news; cheap to clone, since many receivers share the payload.
#[derive(Debug, Clone)]
pub(crate) enum Mail {
    Change(Teller, Arc<Change>),
    Message(Arc<Message>),
    /// The session that is followed has ended.
    Ended(SessionEnd),
    /// Messages may have been lost between servers.
    Missed,
    /// The connection must end: its session was destroyed, say. Delivered after what came before
    /// it; what comes after it is refused.
    Close(Close),
}

/// Tells who posts the changes of one session into a mailbox from who posts those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Teller(pub(crate) usize);

/// Why a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Close {
    /// A close code of RFC 6455 that may be sent, or of the private range from 4000.
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

impl Letter for Mail {
    /// What happened to a session is a state and not a history: however often it changes, one
    /// letter tells it, so changes alone never fill a mailbox.
    fn joins(&self, older: &Self) -> bool {
        match (self, older) {
            (Self::Change(teller, _), Self::Change(other, _)) => teller == other,
            (Self::Missed, Self::Missed) => true,
            (Self::Change(..) | Self::Message(_) | Self::Ended(_) | Self::Close(_), _)
            | (Self::Missed, _) => false,
        }
    }

    fn absorb(&mut self, older: &Self) {
        if let (Self::Change(_, newer), Self::Change(_, older)) = (self, older)
            && !newer.tells_all_of(older)
        {
            Arc::make_mut(newer).absorb(older);
        }
    }

    /// Beside messages there are one change and one end for each session that is followed, and one
    /// of the others.
    fn counts(&self) -> bool {
        matches!(self, Self::Message(_))
    }

    fn replaces(&self, older: &Self) -> bool {
        match (self, older) {
            (Self::Message(newer), Self::Message(older)) => newer.topic == older.topic,
            (Self::Change(..) | Self::Message(_) | Self::Ended(_), _)
            | (Self::Missed | Self::Close(_), _) => false,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Close(_))
    }
}

/// Where news come from: the changes of a session, a topic. Given to
/// [`WebSocket::follow`](super::WebSocket::follow) and its like.
pub trait Source: sealed::Source {}

impl<T: sealed::Source> Source for T {}

pub(crate) mod sealed {
    use super::{Identity, Mail, Post, Result, Subscription};

    /// Not to be named outside the crate: a mailbox is no promise to users.
    pub trait Source {
        /// Posts what comes from now on until the subscription is dropped.
        #[expect(private_interfaces, reason = "nobody outside can call it")]
        fn subscribe(self, post: Post<Mail>) -> Result<Subscription>;

        /// Equal for what tells the same news; `None` if it is like nothing else.
        #[expect(private_interfaces, reason = "nobody outside can call it")]
        fn identity(&self) -> Option<Identity> {
            None
        }
    }
}

/// Tells a source from others for as long as one is subscribed to it: where it is kept, and its name
/// there. The subscription keeps that place, so that nothing else can be found at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) place: usize,
    pub(crate) name: Option<Arc<str>>,
}

/// Dropping it ends the delivery. Its destructor must neither wait nor yield.
pub(crate) struct Subscription {
    _guard: Box<dyn Send>,
}

impl Subscription {
    pub(crate) fn new(guard: impl Send + 'static) -> Self {
        Self { _guard: Box::new(guard) }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}
