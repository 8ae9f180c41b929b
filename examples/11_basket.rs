//! A shop with a basket: a struct in the session, changed by closures that lose no article when
//! two tabs put one in at the same time.
//!
//! ```text
//! $ cargo run --bin 11_basket
//! $ curl -L -c jar -b jar -d article=tea localhost:8080/basket
//! $ curl -L -c jar -b jar -d article=tea localhost:8080/basket
//! ... <li>2 x tea ... total 9.80 ...
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use maypole::prelude::*;
use maypole::session::SessionView;
use serde::{Deserialize, Serialize};

/// Name and price in cents. The basket keeps names only: prices are the shop's business.
const ARTICLES: [(&str, u64); 3] = [("tea", 490), ("coffee", 720), ("biscuits", 250)];
const MAX_PIECES: u32 = 99;

#[derive(Default, Serialize, Deserialize)]
struct Basket {
    pieces: BTreeMap<String, u32>,
}

impl SessionView for Basket {
    const KEY: &'static str = "basket";
}

#[derive(Deserialize)]
struct Chosen {
    article: String,
}

/// The routes of this example.
pub fn routes(app: &mut App) {
    app.get("/", |ctx| page(&ctx.session.view::<Basket>().get()?));
    app.post("/basket", |ctx| {
        let Chosen { article } = ctx.form()?;
        price(&article)?;
        ctx.session.view::<Basket>().update(move |basket| {
            let pieces = basket.pieces.entry(article.clone()).or_default();
            *pieces = (*pieces + 1).min(MAX_PIECES);
        })?;
        Ok(ctx.redirect("/"))
    });
    app.post("/basket/remove", |ctx| {
        let Chosen { article } = ctx.form()?;
        ctx.session.view::<Basket>().update(move |basket| {
            basket.pieces.remove(&article);
        })?;
        Ok(ctx.redirect("/"))
    });
    app.post("/order", |ctx| {
        // `take` gives the basket to one request only, however often the button is pressed.
        match ctx.session.view::<Basket>().take()? {
            Some(basket) => Ok(format!("ordered for {}\n", money(total(&basket)?))),
            None => Ok("the basket is empty\n".to_owned()),
        }
    });
}

fn price(article: &str) -> Result<u64> {
    let found = ARTICLES.iter().find(|(name, _)| *name == article);
    found.map(|(_, price)| *price).ok_or_else(|| {
        Error::with_status(StatusCode::UNPROCESSABLE_ENTITY, format!("no article {article:?}"))
    })
}

fn total(basket: &Basket) -> Result<u64> {
    basket.pieces.iter().map(|(name, pieces)| Ok(price(name)? * u64::from(*pieces))).sum()
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn page(basket: &Basket) -> Result<Html<String>> {
    let mut page = "<!doctype html><meta charset=utf-8><title>Shop</title><h1>Shop</h1>".to_owned();
    for (name, cents) in ARTICLES {
        write!(
            page,
            "<form method=post action=/basket>{name}, {} <button name=article value={name}>put in\
             </button></form>",
            money(cents)
        )?;
    }
    page.push_str("<h2>Basket</h2><ul>");
    for (name, pieces) in &basket.pieces {
        write!(
            page,
            "<li>{pieces} x {name} <form method=post action=/basket/remove>\
             <button name=article value={name}>take out</button></form>"
        )?;
    }
    write!(page, "</ul><p>total {}</p>", money(total(basket)?))?;
    page.push_str("<form method=post action=/order><button>order</button></form>\n");
    Ok(Html(page))
}

fn main() -> Result<()> {
    let mut app = App::new()?;
    routes(&mut app);
    app.run()
}
