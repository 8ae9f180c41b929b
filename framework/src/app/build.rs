//! From an [`App`] to a [`Service`]: everything that can be wrong is found here, before the start.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::failures::Failures;
use super::service::{Service, Target};
use super::{App, Route, route_error};
use crate::clock::Clock;
use crate::config::{Config, Forwarded};
use crate::context::{Environment, TypeMap, request};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{ForwardedHeader, TrustedProxies};
use crate::live::{Live, Topics};
use crate::routing::Router;
use crate::session::{CookiePolicy, Manager, SessionSettings, SessionStore};

use super::stores::{Figures, Opened, Upkeep, open_store};

/// A built app and what its server needs beside it.
pub(crate) struct Built {
    pub(crate) service: Arc<Service>,
    pub(crate) config: Box<Config>,
    /// Where sessions lie, for the line printed at start.
    pub(crate) sessions_in: String,
    /// What the store wants done beside requests.
    pub(crate) upkeep: Option<Upkeep>,
    /// What the store knows of itself.
    pub(crate) figures: Option<Figures>,
}

impl App {
    pub(crate) fn build(self) -> Result<Built> {
        let Self { config, root, fallback, state, stores, clock, topics } = self;
        let (routes, middleware) = root.into_parts();
        let router = build_router(routes)?;
        let Opened { store, location: sessions_in, upkeep, figures } = open_store(&config, stores)?;
        let sessions = build_manager(&config, store, clock)?;
        let environment = Arc::new(build_environment(&config, state, topics)?);
        let logs_access = config.log.access;
        let service = Arc::new(Service {
            router,
            middleware,
            fallback,
            environment,
            sessions,
            logs_access,
            failures: Failures::default(),
        });
        Ok(Built { service, config, sessions_in, upkeep, figures })
    }
}

fn build_router(routes: Vec<Route>) -> Result<Router<Target>> {
    let mut router = Router::new();
    for route in routes {
        let target = Target {
            endpoint: Arc::clone(&route.endpoint),
            middleware: route.middleware.clone(),
            max_body_bytes: route.max_body_bytes,
        };
        router
            .insert(route.method.clone(), &route.pattern, target)
            .map_err(|error| route_error(&error, &route))?;
    }
    Ok(router)
}

pub(crate) fn build_manager(
    config: &Config,
    store: Arc<dyn SessionStore>,
    clock: Clock,
) -> Result<Arc<Manager>> {
    let policy = CookiePolicy::from_config(config);
    let settings = SessionSettings::from_config(config);
    let sessions = Manager::new(&config.app.name, store, settings, policy, clock).map(Arc::new)?;
    sessions.set_user_agent(user_agent);
    Ok(sessions)
}

/// What the client of the running request calls itself.
fn user_agent() -> Option<String> {
    request().and_then(|ctx| ctx.header("user-agent").map(str::to_owned))
}

fn build_environment(config: &Config, mut state: TypeMap, topics: Topics) -> Result<Environment> {
    state.insert(Live::new(config, topics)?);
    Ok(Environment {
        state,
        max_body_bytes: config.limits.body,
        max_form_fields: config.limits.form_fields,
        max_json_depth: config.limits.json_depth,
        session_cookie: config.session_cookie_name(),
        is_development: !config.is_production(),
        proxies: trusted_proxies(config)?,
        forwarded: match config.server.forwarded_header {
            Forwarded::XForwarded => ForwardedHeader::XForwarded,
            Forwarded::Standard => ForwardedHeader::Forwarded,
        },
        request_ids: AtomicU64::new(first_request_id()?),
    })
}

fn trusted_proxies(config: &Config) -> Result<TrustedProxies> {
    TrustedProxies::parse(&config.server.trusted_proxies.join(","))
        .map_err(|message| config.error("server", "trusted_proxies", message).into())
}

fn first_request_id() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Start, "the system gives no random numbers").caused_by(error)
    })?;
    Ok(u64::from_le_bytes(bytes))
}
