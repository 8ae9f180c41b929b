//! What the command says and how it ends when it is not understood, or finds nothing.

use super::{Place, stop};

#[test]
fn what_is_not_understood_ends_with_two_and_a_way_to_help() {
    let place = Place::new("file");
    for (words, expected) in [
        (&["frobnicate"][..], "not understood: maypole frobnicate\nhelp: maypole --help\n"),
        (
            &["sesion"],
            "not understood: maypole sesion; did you mean maypole session?\nhelp: maypole --help\n",
        ),
        (&["sesion", "ls"], "did you mean maypole session?"),
        (&["revok", "12345678"], "did you mean maypole session revoke?"),
        (&["conifg", "check"], "did you mean maypole config?"),
        (&["config", "chekc"], "did you mean maypole config check?"),
        (&["session", "list"], "did you mean maypole session ls?"),
        (&["session", "shwo"], "did you mean maypole session show?"),
        (&["session", "frobnicate"], "maypole session frobnicate\n"),
        (&["session", "ls", "--frob"], "not understood: --frob\nusage: maypole session ls ["),
        (&["session", "ls", "xyz"], "\nhelp: maypole session ls --help\n"),
        (&["session", "ls", "--limit", "many"], "\nhelp: maypole session ls --help\n"),
        (&["session", "ls", "--limit"], "--limit needs a value\nusage: "),
        (&["session", "show"], "show needs a key\nusage: maypole session show KEY|HANDLE"),
        (&["session", "revoke"], "\nhelp: maypole session revoke --help\n"),
        (&["session", "revoke", "1234"], "8 at least"),
        (&["session", "revoke", "12345678", "--user", "ada"], "one of KEY"),
        (&["session", "revoke", "--handle", "x"], "this is no public handle"),
        (&["session", "import"], "import needs a file"),
        (&["config"], "maypole config needs check or print\nhelp: maypole --help\n"),
        (&["config", "check", "a", "b"], "not understood: b\n"),
    ] {
        let said = place.run(words);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{words:?}");
        assert!(said.err.contains(expected), "{words:?}: {}", said.err);
        assert!(said.err.lines().count() <= 3 && said.err.contains("\nhelp: "), "{}", said.err);
    }
    // Whoever says nothing wrong, but not enough, sees what there is.
    for words in [&[][..], &["session"]] {
        let said = place.run(words);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{words:?}");
        assert!(said.err.contains("\n\nmaypole") && said.err.contains("Usage:"), "{}", said.err);
    }
    // A public handle may begin with a dash, and is no option.
    for handle in ["-mLfG6wRAHswBhGxUsdi-w", "--LfG6wRAHswBhGxUsdi-w"] {
        assert_eq!(place.run(&["session", "show", handle]).code, Some(1));
        assert_eq!(place.run(&["session", "show", "--values", handle]).code, Some(1));
        assert_eq!(place.run(&["session", "revoke", "--handle", handle]).code, Some(1));
    }
    assert!(!place.store().exists(), "nothing was made");
}

#[test]
fn every_command_explains_itself() {
    let place = Place::new("file");
    for command in ["ls", "show", "revoke", "sweep", "stats", "export", "import"] {
        let said = place.session(&[command, "--help"]);
        assert!(said.out.starts_with(&format!("maypole session {command}")), "{}", said.out);
    }
    for words in [&["--help"][..], &["session", "--help"], &["config", "check", "--help"]] {
        let said = place.run(words);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{words:?}");
        assert!(said.out.contains("Usage:"), "{}", said.out);
    }
}

#[test]
fn without_a_store_there_is_nothing_and_nothing_is_made() {
    for backend in ["file", "table"] {
        let place = Place::new(backend);
        for words in [&["ls"][..], &["stats"], &["sweep"]] {
            let said = place.session(words);
            assert!(said.out.is_empty() && said.err.contains("no session was stored"), "{said:?}");
        }
        for words in [&["show", "12345678"][..], &["revoke", "12345678"], &["export", "x"]] {
            let said = place.run(&[&["session"], words].concat());
            assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        }
        assert!(!place.store().exists() && !place.path().join("x").exists());
        // Where there is a store, what is not in it is not found.
        stop(place.server());
        for words in [["show", "12345678"], ["revoke", "12345678"]] {
            let said = place.run(&[&["session"], &words[..]].concat());
            assert_eq!(said.code, Some(1), "{said:?}");
            assert_eq!(said.err, "nothing is stored under \"12345678\"\n");
        }
    }
}

#[test]
fn a_mistake_in_the_settings_ends_with_one() {
    let place = Place::new("file");
    let file = place.path().join("other.ini");
    std::fs::write(&file, "[session]\nbackend = file\nbackendd = x\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    for words in [
        &["config", "check", file][..],
        &["config", "check", "--config", file],
        &["config", "print", file],
        &["session", "ls", "--config", file],
        &["session", "ls", "--config", "missing.ini"],
    ] {
        let said = place.run(words);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{words:?}");
        assert!(said.err.contains(".ini"), "{}", said.err);
    }
    let good = place.run(&["config", "check"]);
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""));
    assert_eq!(good.out, "ok: no config.ini here, the defaults\n");
}

#[test]
fn secrets_are_not_printed() {
    let place = Place::new("file");
    let file = place.path().join("config.ini");
    let text = "[session]\ncookie_name = sid\n[custom.mail]\npassword = hunter2\napi_secret = hunter2\n\
                url = smtp://ada:hunter2@mx\n";
    std::fs::write(&file, text).expect("a file");
    let said = place.run(&["config", "print"]);
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("cookie_name = sid") && said.out.contains("smtp://ada:***@mx"));
    assert!(!said.out.contains("hunter2"), "{}", said.out);
}

#[test]
fn a_store_that_only_its_program_knows_is_asked_of_the_server() {
    use maypole::prelude::*;
    use maypole::session::stores::{TableOptions, TableStore};

    let place = Place::new("mine");
    let store = place.path().join("mine");
    let admin = place.path().join("admin");
    let file = place.path().join("config.ini");
    let text = format!("[session]\nbackend = mine\n[admin]\npath = {}\n", admin.display());
    std::fs::write(&file, text).expect("a file");
    let said = place.run(&["session", "ls"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("known only there"), "{}", said.err);

    crate::support::Journal::open();
    let config = Config::load_from(&file).expect("good settings");
    let mut app = App::with_config(config);
    app.config_mut().server.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    app.session_store("mine", move |_| TableStore::open(TableOptions::new(&store)));
    app.get("/count", |ctx| Ok(ctx.session.increment("count", 1)?.to_string()));
    let server = app.start().expect("it starts");
    crate::support::Browser::new(server.local_addr()).get("/count");
    assert_eq!(place.list(&[]).len(), 1);
    server.stop();
    assert_eq!(std::fs::read_dir(&admin).expect("the directory").count(), 0);
}
