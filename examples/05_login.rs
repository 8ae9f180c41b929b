//! Login and logout. `login` gives the session a new id and ends the old one, so that an id
//! planted before the login is worth nothing; `logout` ends the session everywhere.
//!
//! ```text
//! $ cargo run --bin 05_login
//! $ curl -c jar -b jar -d 'name=ada&password=lovelace' localhost:8080/login
//! $ curl -c jar -b jar localhost:8080/
//! Hello ada
//! $ curl -c jar -b jar -X POST localhost:8080/logout
//! $ curl -c jar -b jar localhost:8080/
//! Who are you?
//! ```

use maypole::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/", |ctx| {
        Ok(match ctx.session.user()? {
            Some(user) => format!("Hello {user}\n"),
            None => "Who are you?\n".to_owned(),
        })
    });
    app.post("/login", |ctx| {
        let Credentials { name, password } = ctx.form()?;
        if (name.as_str(), password.as_str()) != ("ada", "lovelace") {
            return Err(Error::with_status(StatusCode::UNAUTHORIZED, "wrong name or password"));
        }
        ctx.session.login(&name)?;
        Ok(ctx.redirect("/"))
    });
    app.post("/logout", |ctx| {
        ctx.session.logout()?;
        Ok(ctx.redirect("/"))
    });
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
