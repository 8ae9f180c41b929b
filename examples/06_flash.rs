//! A message for the next page, shown once, also when five requests ask for it at the same time.
//!
//! ```text
//! $ cargo run --bin 06_flash
//! $ curl -L -c jar -b jar -d "" localhost:8080/save
//! Saved.
//! $ curl -c jar -b jar localhost:8080/
//! Nothing new.
//! ```

use maypole::prelude::*;

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/", |ctx| {
        let message: Option<String> = ctx.session.take_flash("notice")?;
        Ok(message.unwrap_or_else(|| "Nothing new.".to_owned()) + "\n")
    });
    app.post("/save", |ctx| {
        ctx.session.flash("notice", "Saved.")?;
        Ok(ctx.redirect("/")) // the session is stored before the redirect leaves
    });
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
