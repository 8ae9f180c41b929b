//! config.ini and the environment -> [`Config`], checked as a whole before anything starts.
//!
//! Everything has a working default, so a program runs without any file. What is written must be
//! right: an unknown section or key, a bad value or a combination that cannot be meant stops the
//! start with the file, the line and what would be accepted. All of it is pure but
//! [`Config::load`] and [`Config::load_from`], which read one file and the environment.
//! This room knows no socket, no store and no cookie; it knows what may be asked of them.

mod check;
mod error;
mod keys;
mod print;
mod reader;
mod redis;
mod redis_keys;
mod redis_url;
mod scan;
mod section;
mod settings;
mod source;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

use std::path::Path;

pub use error::{ConfigError, Origin};
pub use redis::{RedisAddress, RedisLogin, RedisServers, RedisSettings, RedisTls};
pub use section::Section;
pub use settings::{
    AdminSettings, AppSettings, Concurrency, CookieSecure, CookieSettings, Environment,
    FileStoreSettings, Forwarded, Fsync, LimitSettings, LiveSettings, LogFormat, LogSettings,
    RedisStoreSettings, RuntimeSettings, SameSite, ServerSettings, SessionSettings, SseSettings,
    TableStoreSettings, TieredStoreSettings, UserPolicy, WebSocketSettings,
};

use reader::{Given, Keys, Outcome, Setting};

/// All settings of a program, typed and checked.
///
/// ```
/// use maypole::config::Config;
///
/// let config = Config::parse("[server]\nkeep_alive = 15s\n", "config.ini")?;
/// assert_eq!(config.server.keep_alive.as_secs(), 15);
/// assert_eq!(config.limits.headers, 100);
/// # Ok::<(), maypole::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct Config {
    /// `[app]`
    pub app: AppSettings,
    /// `[server]`
    pub server: ServerSettings,
    /// `[runtime]`
    pub runtime: RuntimeSettings,
    /// `[limits]`
    pub limits: LimitSettings,
    /// `[session]`
    pub session: SessionSettings,
    /// `[session.file]`
    pub session_file: FileStoreSettings,
    /// `[session.table]`
    pub session_table: TableStoreSettings,
    /// `[session.redis]`
    pub session_redis: RedisStoreSettings,
    /// `[session.tiered]`
    pub session_tiered: TieredStoreSettings,
    /// Every `[redis.NAME]`, `default` first, which is always there.
    pub redis: Vec<RedisSettings>,
    /// `[cookie]`
    pub cookie: CookieSettings,
    /// `[websocket]`
    pub websocket: WebSocketSettings,
    /// `[sse]`
    pub sse: SseSettings,
    /// `[live]`
    pub live: LiveSettings,
    /// `[admin]`
    pub admin: AdminSettings,
    /// `[log]`
    pub log: LogSettings,
    sections: Vec<Section>,
    settings: Vec<Setting>,
    file: Option<String>,
}

impl Config {
    /// The settings of `text`; `file_name` is how errors call it. The environment is not asked.
    ///
    /// # Errors
    /// The first mistake in `text`, with its line.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigError> {
        source::resolve(Some((text, file_name)), &[])
    }

    /// The settings of this process: the file named by the variable `MAYPOLE_CONFIG`, which then
    /// must exist, or else `config.ini` in the current directory if there is one; over it every
    /// `MAYPOLE_SECTION_KEY` of the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or for the first mistake in file or environment.
    pub fn load() -> Result<Self, ConfigError> {
        source::load()
    }

    /// As [`load`](Self::load), from the file at `path`, which must exist.
    ///
    /// # Errors
    /// When the file cannot be read, or for the first mistake in file or environment.
    pub fn load_from(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        source::load_from(path.as_ref())
    }

    /// The section of the program's own called `name`: `custom`, `custom.NAME`, or `session.NAME`
    /// for a registered store; `None` when neither file nor environment mention it.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name() == name)
    }

    /// Whether cookies are `Secure`: as `[cookie] secure` says; `auto` is false only in
    /// development on a loopback address.
    #[must_use]
    pub fn cookie_secure(&self) -> bool {
        match self.cookie.secure {
            CookieSecure::Always => true,
            CookieSecure::Never => false,
            CookieSecure::Auto => self.is_production() || !self.server.listen.ip().is_loopback(),
        }
    }

    /// The session cookie's name: as `[session] cookie_name` says, or else `__Host-session` for
    /// `Secure` cookies, which no other host and no plain-HTTP page can plant, and `session`.
    #[must_use]
    pub fn session_cookie_name(&self) -> String {
        match &self.session.cookie_name {
            Some(name) => name.clone(),
            None if self.cookie_secure() => "__Host-session".to_owned(),
            None => "session".to_owned(),
        }
    }

    /// Whether `[app] env` is production.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.app.env == Environment::Production
    }

    /// The file these settings were read from, by the name it was opened with; `None` without one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Every setting that holds, and where it comes from, in the form of config.ini;
    /// secrets are shown as `***`.
    #[must_use]
    pub fn describe(&self) -> String {
        print::describe(self)
    }

    /// The settings of `[redis.NAME]`; `None` when neither file nor environment mention it.
    #[must_use]
    pub fn redis(&self, name: &str) -> Option<&RedisSettings> {
        self.redis.iter().find(|settings| settings.name == name)
    }

    /// An error about `key` of `[section]` that names the place where its value was written; for
    /// what only the rest of the program can check.
    #[must_use]
    pub fn error(&self, section: &str, key: &str, message: impl Into<String>) -> ConfigError {
        let origin = match self.setting(section, key).map(|setting| &setting.origin) {
            Some(Origin::Default) | None => self.default_origin(),
            Some(origin) => origin.clone(),
        };
        ConfigError::new(origin, section, key, message.into())
    }

    /// Where `key` of `[section]` is written, for errors of the start that are no mistake of the
    /// text: `config.ini:3: [server] listen`.
    pub(crate) fn place(&self, section: &str, key: &str) -> String {
        match self.error(section, key, "").origin {
            Origin::Default => format!("[{section}] {key}"),
            origin => format!("{origin}: [{section}] {key}"),
        }
    }

    /// The error for a `[session] backend` that is none of `stores`.
    pub(crate) fn unknown_backend(&self, stores: &[&str]) -> ConfigError {
        let backend = &self.session.backend;
        let hint = suggest::did_you_mean(backend, stores.iter().copied());
        let known = stores.join(" | ");
        let message = format!("backend = {backend:?}: no such store; it takes {known}{hint}");
        self.error("session", "backend", message)
    }

    /// Whether somebody wrote this key, in the file or the environment.
    fn is_written(&self, section: &str, key: &str) -> bool {
        self.setting(section, key).is_some_and(|setting| setting.origin != Origin::Default)
    }

    fn setting(&self, section: &str, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.section == section && setting.key == key)
    }

    /// Where to write what nobody wrote: the file, if there is one.
    fn default_origin(&self) -> Origin {
        match &self.file {
            Some(file) => Origin::File { file: file.clone(), line: None },
            None => Origin::Default,
        }
    }

    /// Reads the whole table; the program's own sections come from `sections`.
    #[expect(clippy::large_stack_frames, reason = "runs at start, not on a coroutine's stack")]
    fn read(given: &Given, sections: Vec<Section>) -> Outcome<Self> {
        let mut keys = Keys::new(given);
        Ok(Self {
            app: keys::app(&mut keys)?,
            server: keys::server(&mut keys)?,
            runtime: keys::runtime(&mut keys)?,
            limits: keys::limits(&mut keys)?,
            session: keys::session(&mut keys)?,
            session_file: keys::session_file(&mut keys)?,
            session_table: keys::session_table(&mut keys)?,
            session_redis: keys::session_redis(&mut keys)?,
            session_tiered: keys::session_tiered(&mut keys)?,
            redis: redis_sections(&mut keys, given)?,
            cookie: keys::cookie(&mut keys)?,
            websocket: keys::websocket(&mut keys)?,
            sse: keys::sse(&mut keys)?,
            live: keys::live(&mut keys)?,
            admin: keys::admin(&mut keys)?,
            log: keys::log(&mut keys)?,
            sections,
            settings: keys.settings,
            file: given.file.clone(),
        })
    }
}

fn redis_sections(keys: &mut Keys<'_>, given: &Given) -> Outcome<Vec<RedisSettings>> {
    let names = ["default"].into_iter().chain(given.redis.iter().map(String::as_str));
    names.map(|name| redis_keys::redis(keys, name)).collect()
}

impl Default for Config {
    #[expect(clippy::expect_used, reason = "the defaults are constants, read by every test")]
    fn default() -> Self {
        Self::read(&Given::default(), Vec::new()).expect("the defaults of the table are good")
    }
}
