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
#[derive(Clone, Copy)]
pub(crate) struct Presented {
    ids: [[u8; ID_CHARS]; MAX_PRESENTED],
    count: u8,
    /// Values that cannot be an id by their length.
    malformed: u8,
}

impl Presented {
    /// The first `max` values count.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>, max: usize) -> Self {
        let mut presented = Self { ids: [[0; ID_CHARS]; MAX_PRESENTED], count: 0, malformed: 0 };
        for value in values.into_iter().take(max.min(MAX_PRESENTED)) {
            match (value.as_bytes().try_into(), presented.ids.get_mut(usize::from(presented.count)))
            {
                (Ok(id), Some(place)) => {
                    *place = id;
                    presented.count += 1;
                }
                _ => presented.malformed += 1,
            }
        }
        presented
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
