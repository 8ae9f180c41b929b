//! File and environment together, and the sections of the program's own.

use std::time::Duration;

use super::{Config, Origin, parse, resolve};
use crate::{Error, ErrorKind};

#[test]
fn the_environment_wins_over_the_file() {
    let text = "[server]\nlisten = 127.0.0.1:1\nkeep_alive = 5s\n";
    let variables = [
        ("MAYPOLE_CONFIG", "elsewhere.ini"),
        ("MAYPOLE_SERVER_LISTEN", "127.0.0.1:2"),
        ("MAYPOLE_SESSION_FILE_PATH", "/srv/sessions"),
        ("PATH", "/bin"),
    ];
    let config = resolve(Some(text), &variables).unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.keep_alive, Duration::from_secs(5));
    assert_eq!(config.session_file.path.to_str(), Some("/srv/sessions"));
    assert_eq!(resolve(None, &variables).unwrap().server.listen.port(), 2);
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    for (name, value, expected) in [
        (
            "MAYPOLE_SERVER_LISTN",
            "x",
            "MAYPOLE_SERVER_LISTN: unknown setting in the environment; did you mean \
             \"MAYPOLE_SERVER_LISTEN\"?",
        ),
        ("MAYPOLE_X", "x", "MAYPOLE_X: unknown setting in the environment"),
        (
            "MAYPOLE_LOG_LEVEL",
            "inf",
            "MAYPOLE_LOG_LEVEL: [log] level = \"inf\": it takes off | error | warn | info | debug \
             | trace; did you mean \"info\"?",
        ),
        (
            "MAYPOLE_COOKIE_SAME_SITE",
            "none",
            "MAYPOLE_COOKIE_SAME_SITE: [cookie] same_site = none needs Secure cookies, or browsers \
             drop them; write secure = true",
        ),
        (
            "MAYPOLE_APP_ENV",
            "production",
            "configuration: [app] production needs a name of its own, such as name = shop; apps of \
             one name that share a host, a directory or a redis accept each other's sessions",
        ),
    ] {
        let error = resolve(None, &[(name, value)]).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.line(), None);
    }
}

#[test]
fn errors_carry_their_place_and_become_config_errors() {
    let error = Config::parse("[log]\nlevel = x\n", "conf/app.ini").unwrap_err();
    assert_eq!((error.file(), error.line()), (Some("conf/app.ini"), Some(2)));
    assert_eq!((error.section.as_str(), error.key.as_str()), ("log", "level"));
    assert_eq!(Error::from(error).kind(), ErrorKind::Config);
}

#[test]
fn the_program_can_refuse_a_value_at_its_line() {
    let config = parse("[session]\nbackend = mine\n");
    let error = config.error("session", "backend", "no store is registered as \"mine\"");
    assert_eq!(error.to_string(), "config.ini:2: [session] no store is registered as \"mine\"");
    let config = parse("[app]\nname = a\n[session]\nbackend = fiel\n");
    assert_eq!(
        config.unknown_backend(&["file", "mine"]).to_string(),
        "config.ini:4: [session] backend = \"fiel\": no such store; it takes file | mine; did you \
         mean \"file\"?"
    );
    assert_eq!(Config::default().error("session", "backend", "x").origin, Origin::Default);
    assert_eq!(config.place("session", "backend"), "config.ini:4: [session] backend");
    assert_eq!(config.place("server", "listen"), "config.ini: [server] listen");
    assert_eq!(Config::default().place("server", "listen"), "[server] listen");
}

#[test]
fn free_sections_take_secrets_from_the_environment() {
    let text = "[session]\nbackend = mine\n[custom]\nA-Key = 1\n[custom.mail]\nhost = a\n";
    let variables = [
        ("MAYPOLE_CUSTOM_A_KEY", "2"),
        ("MAYPOLE_CUSTOM_MAIL_HOST", "b"),
        ("MAYPOLE_CUSTOM_MAIL_PASSWORD", "c"),
        ("MAYPOLE_SESSION_MINE_URL", "d"),
    ];
    let config = resolve(Some(text), &variables).unwrap();
    let get = |section: &str, key: &str| {
        config.section(section).and_then(|section| section.get(key)).map(str::to_owned)
    };
    assert_eq!(get("custom", "A-Key").as_deref(), Some("2"));
    assert_eq!(get("custom.mail", "host").as_deref(), Some("b"));
    assert_eq!(get("custom.mail", "password").as_deref(), Some("c"));
    assert_eq!(get("session.mine", "url").as_deref(), Some("d"));
    assert!(config.section("session.other").is_none());
    assert!(resolve(None, &[]).unwrap().section("custom").is_none());

    let chosen = [("MAYPOLE_SESSION_BACKEND", "fil"), ("MAYPOLE_SESSION_FIL_X", "1")];
    let config = resolve(Some("[session.fil]\ny = 2\n"), &chosen).unwrap();
    assert_eq!(config.section("session.fil").unwrap().iter().count(), 2);
}

#[test]
fn sections_report_their_mistakes_with_the_line() {
    let config = parse("[custom.mail]\nport = 2x\nretry = 5\npassword = hunter 2\nempty =\n");
    let mail = config.section("custom.mail").unwrap();
    let said = |error: super::ConfigError| error.to_string();
    assert_eq!(
        said(mail.parse::<u16>("port").unwrap_err()),
        "config.ini:2: [custom.mail] port = \"2x\": invalid digit found in string"
    );
    assert_eq!(
        said(mail.duration("retry").unwrap_err()),
        "config.ini:3: [custom.mail] retry = \"5\": a duration needs its unit; did you mean \"5s\"?"
    );
    assert_eq!(
        said(mail.flag("password").unwrap_err()),
        "config.ini:4: [custom.mail] password = \"***\": it takes true or false (or on, off, yes, no)"
    );
    assert_eq!(
        said(mail.require("empty").unwrap_err()),
        "config.ini:5: [custom.mail] needs a value for \"empty\""
    );
    assert_eq!(
        said(mail.only(&["ports", "retry", "password", "empty"]).unwrap_err()),
        "config.ini:2: [custom.mail] unknown key \"port\"; did you mean \"ports\"?"
    );
    assert_eq!(mail.parse::<u16>("absent").unwrap(), None);
    assert!(mail.only(&["port", "retry", "password", "empty"]).is_ok());
}
