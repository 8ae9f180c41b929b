//! The session cookie: its exact `Set-Cookie` text, and which of several received ones are tried.
//!
//! Pure. Name and attributes are fixed at start; whether they fit together was checked there.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use ::cookie::time::OffsetDateTime;
use ::cookie::{Cookie, CookieBuilder, Expiration, SameSite};

use super::id::{ID_CHARS, SessionId};
use super::record::Lifetime;
use crate::config::{self, Config};

/// Browsers keep no cookie longer than 400 days, so none promises more.
const MAX_LIFESPAN: Duration = Duration::from_secs(400 * 24 * 3600);

/// Ids tried of one request, where a browser may really send several.
pub(crate) const MAX_PRESENTED: usize = 3;

/// What follows the name of the session cookie in that of the successor's cookie.
const SUCCESSOR_SUFFIX: &str = "-next";

/// Whether a cookie called `found` is the one of the session, whose name is `name`, or of its
/// successor.
pub(crate) fn is_session_cookie(found: &str, name: &str) -> bool {
    matches!(found.strip_prefix(name), Some("" | SUCCESSOR_SUFFIX))
}

/// How the session cookie looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CookiePolicy {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) partitioned: bool,
    /// How long the browser keeps it; zero means until it closes.
    pub(crate) lifespan: Duration,
    /// False: no cookie is ever sent.
    pub(crate) use_cookies: bool,
}

impl Default for CookiePolicy {
    fn default() -> Self {
        Self {
            name: "__Host-session".to_owned(),
            path: "/".to_owned(),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
            lifespan: Duration::from_secs(86_400),
            use_cookies: true,
        }
    }
}

impl CookiePolicy {
    /// What `[session]` and `[cookie]` say.
    pub(crate) fn from_config(config: &Config) -> Self {
        let cookie = &config.cookie;
        Self {
            name: config.session_cookie_name(),
            path: cookie.path.clone(),
            domain: cookie.domain.clone(),
            secure: config.cookie_secure(),
            http_only: cookie.http_only,
            same_site: match cookie.same_site {
                config::SameSite::Strict => SameSite::Strict,
                config::SameSite::Lax => SameSite::Lax,
                config::SameSite::None => SameSite::None,
            },
            partitioned: cookie.partitioned,
            lifespan: config.session.cookie_lifespan.unwrap_or_default(),
            use_cookies: config.session.use_cookies,
        }
    }

    /// The cookie beside this one, with an id that may have taken the place of the session's. Its
    /// name keeps the prefix, and with it the promise that nobody else can have set it.
    pub(crate) fn successor(&self) -> Self {
        Self { name: format!("{}{SUCCESSOR_SUFFIX}", self.name), ..self.clone() }
    }

    /// How many cookies of our name are tried. A browser lets nobody else set a `__Host-` cookie
    /// and sends one; a second one was made up.
    pub(crate) fn max_tried(&self) -> usize {
        if self.name.starts_with("__Host-") { 1 } else { MAX_PRESENTED }
    }

    /// `Set-Cookie` for a session that the server forgets at `deadline`. A session with a lifetime
    /// of its own has a cookie that lives as long, if cookies outlive the browser window at all or
    /// the visitor wants to be remembered.
    pub(crate) fn set(
        &self,
        id: &SessionId,
        lifetime: Lifetime,
        deadline: SystemTime,
        now: SystemTime,
    ) -> String {
        let mut cookie = self.attributes(id.cookie_value());
        if !self.lifespan.is_zero() || lifetime == Lifetime::Remembered {
            let left = deadline.duration_since(now).unwrap_or_default();
            let lifespan = match lifetime {
                Lifetime::Configured => self.lifespan.min(left),
                Lifetime::Own | Lifetime::Remembered => left,
            };
            let lifespan = lifespan.min(MAX_LIFESPAN);
            // Rounded up: the moment since the deadline was set must not cost a second.
            let secs = lifespan.as_secs() + u64::from(lifespan.subsec_nanos() > 0);
            let secs = i64::try_from(secs).unwrap_or(i64::MAX);
            let expires = unix_secs(now).saturating_add(secs);
            cookie = cookie.max_age(::cookie::time::Duration::seconds(secs));
            if let Ok(expires) = OffsetDateTime::from_unix_timestamp(expires) {
                cookie = cookie.expires(Expiration::DateTime(expires));
            }
        }
        cookie.build().to_string()
    }

    /// `Set-Cookie` that makes the browser drop the cookie: path, domain and flags as it was set,
    /// else the browser would keep it.
    pub(crate) fn delete(&self) -> String {
        self.attributes(String::new())
            .max_age(::cookie::time::Duration::ZERO)
            .expires(Expiration::DateTime(OffsetDateTime::UNIX_EPOCH))
            .build()
            .to_string()
    }

    fn attributes(&self, value: String) -> CookieBuilder<'_> {
        let mut cookie = Cookie::build((self.name.as_str(), value)).path(self.path.as_str());
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain.as_str());
        }
        cookie
            .secure(self.secure)
            .http_only(self.http_only)
            .partitioned(self.partitioned)
            .same_site(self.same_site)
    }
}

/// The values of our cookie in one request, kept as they came: most requests never touch their
/// session, so nothing is parsed or allocated here.
pub(crate) struct Presented {
    ids: [[u8; ID_CHARS]; MAX_PRESENTED],
    count: u8,
    /// Values that cannot be an id by their length.
    malformed: u8,
    /// Hardly anybody has one, so it takes little room.
    successor: Option<Box<[u8; ID_CHARS]>>,
}

impl Presented {
    /// What is ours among the names and values of a request's cookies. The first `max` values under
    /// our `name` count, and the first under its successor's.
    pub(crate) fn new<'a>(
        cookies: impl IntoIterator<Item = (&'a str, &'a str)>,
        name: &str,
        max: usize,
    ) -> Self {
        let max = max.min(MAX_PRESENTED);
        let ids = [[0; ID_CHARS]; MAX_PRESENTED];
        let mut presented = Self { ids, count: 0, malformed: 0, successor: None };
        let mut is_successor_due = true;
        for (found, value) in cookies {
            match found.strip_prefix(name) {
                Some("") if presented.seen() < max => presented.add(value),
                Some(SUCCESSOR_SUFFIX) if is_successor_due => {
                    is_successor_due = false;
                    presented.successor = value.as_bytes().try_into().ok().map(Box::new);
                }
                _ => {}
            }
        }
        presented
    }

    fn seen(&self) -> usize {
        usize::from(self.count + self.malformed)
    }

    fn add(&mut self, value: &str) {
        match (value.as_bytes().try_into(), self.ids.get_mut(usize::from(self.count))) {
            (Ok(id), Some(place)) => {
                *place = id;
                self.count += 1;
            }
            _ => self.malformed += 1,
        }
    }

    /// The id that may have taken the place of the others.
    pub(crate) fn successor(&self) -> Option<SessionId> {
        SessionId::parse(&**self.successor.as_ref()?)
    }

    /// Whether the browser has something under the successor's name, which `id` settles: it is not
    /// the id that came under our own.
    pub(crate) fn is_settled_by(&self, id: &SessionId) -> bool {
        self.successor.is_some() && !self.parse().0.any(|known| known == *id)
    }

    /// The well-formed ids, each once, and how many values were none.
    pub(crate) fn parse(&self) -> (impl Iterator<Item = SessionId>, usize) {
        let texts = self.ids.get(..usize::from(self.count)).unwrap_or_default();
        let mut malformed = usize::from(self.malformed);
        let mut ids: [Option<SessionId>; MAX_PRESENTED] = [None, None, None];
        for (at, text) in texts.iter().enumerate() {
            match SessionId::parse(text) {
                Some(id) if ids.iter().flatten().any(|known| *known == id) => {}
                Some(id) => ids[at] = Some(id),
                None => malformed += 1,
            }
        }
        (ids.into_iter().flatten(), malformed)
    }
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Presented({})", self.count)
    }
}

fn unix_secs(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
