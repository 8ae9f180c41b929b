//! Login at a provider, as OAuth does it: the state that is set on the very first visit survives the
//! redirect there and back, because the session is stored before the redirect leaves.
//!
//! The provider is a route of the same program, so that the example runs by itself.
//!
//! ```text
//! $ cargo run --bin 13_single_sign_on
//! $ curl -L -c jar -b jar localhost:8080/login
//! You are ada.
//! ```

use maypole::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Authorize {
    redirect_uri: String,
    state: String,
}

#[derive(Deserialize)]
struct Callback {
    code: String,
    state: String,
}

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/", |ctx| {
        Ok(match ctx.session.user()? {
            Some(user) => format!("You are {user}.\n"),
            None => "Nobody knows you. Go to /login.\n".to_owned(),
        })
    });
    app.get("/login", |ctx| {
        // Kept here, sent there, compared when it comes back: an answer to a login that somebody
        // else began is refused (login CSRF; RFC 6749, 10.12).
        let state = random()?;
        ctx.session.set("login state", &state)?;
        let back = "%2Fcallback";
        Ok(ctx.redirect(format!("/provider/authorize?redirect_uri={back}&state={state}")))
    });
    app.get("/callback", |ctx| {
        let Callback { code, state } = ctx.query()?;
        // `take`: one answer to one question, also when the page is loaded twice.
        if ctx.session.take::<String>("login state")?.as_deref() != Some(&*state) {
            return Err(Error::with_status(StatusCode::FORBIDDEN, "this login was not begun here"));
        }
        ctx.session.login(exchange(&code)?)?;
        Ok(ctx.redirect("/"))
    });
    app.get("/provider/authorize", |ctx| {
        let Authorize { redirect_uri, state } = ctx.query()?;
        if redirect_uri != "/callback" {
            return Err(Error::with_status(StatusCode::BAD_REQUEST, "an unknown client"));
        }
        Ok(ctx.redirect(format!("{redirect_uri}?code=ada-was-here&state={state}")))
    });
}

/// A real program asks the provider over HTTPS, with a client that does not block the worker.
fn exchange(code: &str) -> Result<&'static str> {
    match code {
        "ada-was-here" => Ok("ada"),
        _ => Err(Error::with_status(StatusCode::FORBIDDEN, "the provider does not know this code")),
    }
}

fn random() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::with_status(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
