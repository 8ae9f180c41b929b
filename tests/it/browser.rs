//! A real browser, as visitors use one.

use maypole::prelude::*;

use crate::support::{Chromium, TempDir, Testee, free_port, serve};

#[test]
fn a_browser_keeps_its_session_over_tabs_and_a_kill_of_the_server() {
    let Some(chromium) = Chromium::start() else { return };
    let directory = TempDir::new();
    let listen = format!("127.0.0.1:{}", free_port());
    let mut server = Testee::start(directory.path(), &[("MAYPOLE_SERVER_LISTEN", &listen)]);
    let url = format!("http://{}/count", server.addr);
    let tab = chromium.open(&url);
    assert_eq!(tab.text("body"), "1");
    tab.reload();
    assert_eq!(tab.text("body"), "2");
    assert_eq!(chromium.open(&url).text("body"), "3");
    server.process.signal(libc::SIGKILL);
    server.process.end();
    let _server = Testee::start(directory.path(), &[("MAYPOLE_SERVER_LISTEN", &listen)]);
    tab.reload();
    assert_eq!(tab.text("body"), "4");
}

#[test]
fn scripts_of_a_page_cannot_read_the_session_cookie() {
    let Some(chromium) = Chromium::start() else { return };
    let server = serve("", |app| {
        app.get("/", |ctx| {
            ctx.session.increment("n", 1)?;
            Ok(Html("<p id=cookie></p><script>cookie.textContent='['+document.cookie+']'</script>"))
        });
    });
    let tab = chromium.open(&format!("http://{}/", server.addr()));
    assert_eq!(tab.text("#cookie"), "[]");
}

#[test]
fn a_form_its_redirect_and_a_notice_shown_once() {
    let Some(chromium) = Chromium::start() else { return };
    let server = serve("", |app| {
        app.get("/", |ctx| {
            let notice: Option<String> = ctx.session.take_flash("notice")?;
            let notice = notice.unwrap_or_default();
            Ok(Html(format!(
                "<p id=notice>{notice}</p><form method=post><button>save</button></form>"
            )))
        });
        app.post("/", |ctx| {
            ctx.session.flash("notice", "saved")?;
            Ok(ctx.redirect("/"))
        });
    });
    let tab = chromium.open(&format!("http://{}/", server.addr()));
    assert_eq!(tab.text("#notice"), "");
    tab.click("button");
    tab.wait_for("#notice", "saved");
    tab.reload();
    assert_eq!(tab.text("#notice"), "");
}
