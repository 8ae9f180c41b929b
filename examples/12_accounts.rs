//! Accounts: registration and login with argon2 on the blocking pool, messages on the next page,
//! "stay logged in", "your devices", and "log out everywhere".
//!
//! ```text
//! $ cargo run --bin 12_accounts
//! $ curl -L -c jar -b jar -d 'name=ada&password=correct+horse' localhost:8080/register
//! Welcome, ada.
//! ada's devices:
//! * kCYvMZbJ... curl/7.88.1 (this one)
//! ```

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use maypole::prelude::*;
use maypole::session::Handle;
use maypole::sync::Mutex;
use serde::Deserialize;

/// Names with their password hashes. A real program keeps them in a database.
#[derive(Default)]
struct Accounts(Mutex<HashMap<String, String>>);

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
    /// A check box: sent only when it is ticked.
    stay: Option<String>,
}

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.state(Accounts::default());
    app.get("/", home);
    app.post("/register", register);
    app.post("/login", login);
    app.post("/logout", |ctx| {
        ctx.session.logout()?;
        say(ctx, "You are logged out.")
    });
    app.group("/devices", |g| {
        g.post("/end/{handle}", |ctx| {
            let user = ctx.session.require_user()?;
            let handle = Handle::parse(&ctx.param::<String>("handle")?);
            let ended = match handle {
                Some(handle) => ctx.session.revoke(&user, handle)?,
                None => false,
            };
            say(ctx, if ended { "That device is logged out." } else { "There is no such device." })
        });
        g.post("/end-others", |ctx| {
            // Somebody who found this computer open must not lock its owner out.
            ctx.session.require_recent_login(Duration::from_secs(15 * 60))?;
            ctx.session.revoke_others()?;
            say(ctx, "All other devices are logged out.")
        });
    });
}

fn home(ctx: &RequestContext) -> Result<String> {
    let mut page = String::new();
    if let Some(message) = ctx.session.take_flash::<String>("notice")? {
        writeln!(page, "{message}")?;
    }
    let Some(user) = ctx.session.user()? else {
        writeln!(page, "Log in or register: POST name and password to /login or /register.")?;
        return Ok(page);
    };
    writeln!(page, "{user}'s devices:")?;
    for device in ctx.session.sessions_of(&user)? {
        let agent = device.user_agent.unwrap_or_else(|| "unknown".to_owned());
        let here = if device.is_current { " (this one)" } else { "" };
        writeln!(page, "* {} {agent}{here}", device.handle)?;
    }
    Ok(page)
}

fn register(ctx: &RequestContext) -> Result<Redirect> {
    let Credentials { name, password, .. } = ctx.form()?;
    if name.is_empty() || name.len() > 64 || password.chars().count() < 8 {
        return say(ctx, "A name (up to 64 letters) and a password (from 8 letters), please.");
    }
    // argon2 takes tens of milliseconds of CPU and 19 MiB: not on a worker, and not under a lock.
    let hash = blocking(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
    })?
    .map_err(|error| Error::with_status(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    {
        let mut accounts = ctx.state::<Accounts>()?.0.lock();
        if accounts.contains_key(&name) {
            return say(ctx, "That name is taken.");
        }
        accounts.insert(name.clone(), hash);
    }
    ctx.session.login(&name)?;
    say(ctx, &format!("Welcome, {name}."))
}

fn login(ctx: &RequestContext) -> Result<Redirect> {
    let Credentials { name, password, stay } = ctx.form()?;
    let hash = ctx.state::<Accounts>()?.0.lock().get(&name).cloned();
    // An unknown name costs the same time as a wrong password: nobody learns which names exist.
    let known = hash.is_some();
    let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
    let matches = blocking(move || {
        PasswordHash::new(&hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    })?;
    if !(known && matches) {
        return say(ctx, "Wrong name or password.");
    }
    ctx.session.login(&name)?;
    if stay.is_some() {
        ctx.session.remember()?;
    }
    say(ctx, &format!("Welcome back, {name}."))
}

/// The hash of a password nobody has, with the parameters of the others.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA\
                      $2UAbuVrY4fTQHJzvvBMJNzqcnuG6wAWzUgvSiZPHxPE";

fn say(ctx: &RequestContext, message: &str) -> Result<Redirect> {
    ctx.session.flash("notice", message)?;
    Ok(ctx.redirect("/"))
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
