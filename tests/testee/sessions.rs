//! Routes for every verb of a session, so that a test can drive it from outside, on any node.

use std::collections::BTreeMap;

use maypole::prelude::*;
use maypole::session::Handle;

pub(crate) fn routes(app: &mut App) {
    values(app);
    ids(app);
    users(app);
    waits(app);
}

fn values(app: &mut App) {
    app.get("/count", |ctx| Ok(ctx.session.increment("count", 1)?.to_string()));
    app.get("/read", |ctx| Ok(ctx.session.get_or("count", 0_i64)?.to_string()));
    app.get("/update", |ctx| {
        let sum = ctx.session.update("updated", |sum: &mut i64| *sum += 1)?;
        Ok(sum.to_string())
    });
    app.get("/updated", |ctx| Ok(ctx.session.get_or("updated", 0_i64)?.to_string()));
    app.get("/set/{key}/{value}", |ctx| {
        ctx.session.set(&ctx.param::<String>("key")?, &ctx.param::<String>("value")?)
    });
    app.get("/get/{key}", |ctx| {
        ctx.session.get_or(&ctx.param::<String>("key")?, "none".to_owned())
    });
    // What is stored by now, whatever memory says: a change that conflicts is made again.
    app.get("/update-and-get/{key}", |ctx| {
        let key = ctx.param::<String>("key")?;
        ctx.session.increment("updates", 1)?;
        ctx.session.save()?;
        ctx.session.get_or(&key, "none".to_owned())
    });
    app.get("/length", |ctx| {
        Ok(ctx.session.get_or("list", Vec::<String>::new())?.len().to_string())
    });
    app.get("/remove/{key}", |ctx| ctx.session.remove(&ctx.param::<String>("key")?));
    app.get("/push/{item}", |ctx| {
        ctx.session.push("list", ctx.param::<String>("item")?).map(|len| len.to_string())
    });
    app.get("/list", |ctx| Ok(ctx.session.get_or("list", Vec::<String>::new())?.join(" ")));
    app.get("/merge/{leaf}/{value}", |ctx| {
        let leaf = (ctx.param::<String>("leaf")?, ctx.param::<String>("value")?);
        ctx.session.merge("map", BTreeMap::from([leaf]))
    });
    app.get("/map", |ctx| {
        let map: BTreeMap<String, String> = ctx.session.get_or("map", BTreeMap::new())?;
        let leaves: Vec<_> = map.iter().map(|(leaf, value)| format!("{leaf}={value}")).collect();
        Ok(leaves.join(" "))
    });
    app.get("/flash/{text}", |ctx| {
        let text = ctx.param::<String>("text")?;
        ctx.session.set("flashed", &text)?;
        ctx.session.flash("notice", text)
    });
    app.get("/flashed", |ctx| {
        Ok(ctx.session.take_flash("notice")?.unwrap_or_else(|| "-".to_owned()))
    });
    // Everything at one moment: user, count, list and map.
    app.get("/show", |ctx| {
        Ok(Json((
            ctx.session.user()?,
            ctx.session.get_or("count", 0_i64)?,
            ctx.session.get_or("list", Vec::<String>::new())?,
            ctx.session.get_or("map", BTreeMap::<String, String>::new())?,
        )))
    });
}

fn ids(app: &mut App) {
    app.get("/regenerate", |ctx| ctx.session.regenerate());
    app.get("/rotate", |ctx| ctx.session.rotate());
    app.get("/destroy", |ctx| ctx.session.destroy());
    app.get("/logout", |ctx| ctx.session.logout());
}

fn users(app: &mut App) {
    app.get("/login/{user}", |ctx| ctx.session.login(ctx.param::<String>("user")?));
    app.get("/user", |ctx| Ok(ctx.session.user()?.unwrap_or_else(|| "nobody".to_owned())));
    app.get("/handle", |ctx| {
        Ok(ctx.session.handle()?.map_or_else(String::new, |it| it.to_string()))
    });
    app.get("/devices/{user}", |ctx| {
        Ok(ctx.session.sessions_of(&ctx.param::<String>("user")?)?.len().to_string())
    });
    app.get("/revoke/{user}/{handle}", |ctx| {
        let handle = Handle::parse(&ctx.param::<String>("handle")?);
        let handle = handle.ok_or_else(|| Error::new(ErrorKind::Request, "no handle"))?;
        Ok(ctx.session.revoke(&ctx.param::<String>("user")?, handle)?.to_string())
    });
    app.get("/revoke-others", |ctx| ctx.session.revoke_others());
    app.get("/revoke-all/{user}", |ctx| ctx.session.revoke_all(&ctx.param::<String>("user")?));
    app.get("/revoke-everybody", |ctx| ctx.session.revoke_everybody());
}

/// With `Expect: 100-continue` a client learns by the 100 that the handler has come so far, and
/// holds it there until it sends the body.
fn waits(app: &mut App) {
    app.post("/count-and-wait", |ctx| {
        let count = ctx.session.increment("count", 1)?;
        ctx.body_bytes()?;
        Ok(count.to_string())
    });
    app.post("/slow/{key}", |ctx| {
        ctx.session.set(&ctx.param::<String>("key")?, "slow")?;
        ctx.body_bytes()?;
        Ok("slow")
    });
    app.post("/slow-logout", |ctx| {
        ctx.session.logout()?;
        ctx.body_bytes()?;
        Ok(())
    });
    app.post("/poll", |ctx| {
        let before = ctx.session.get_or("count", 0_i64)?;
        ctx.body_bytes()?;
        ctx.session.reload()?;
        Ok(format!("{before} {}", ctx.session.get_or("count", 0_i64)?))
    });
    app.post("/lock-and-wait", |ctx| {
        ctx.session.lock()?;
        let count = ctx.session.get_or("count", 0_i64)?;
        ctx.body_bytes()?;
        ctx.session.set("count", count + 1)?;
        Ok((count + 1).to_string())
    });
    // What loses updates without the lock, and must not with it.
    app.get("/locked", |ctx| {
        ctx.session.lock()?;
        let count = ctx.session.get_or("count", 0_i64)?;
        ctx.session.set("count", count + 1)?;
        Ok((count + 1).to_string())
    });
}
