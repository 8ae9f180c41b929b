//! The `maypole` command as a process, beside servers that run, ran and were killed.

mod exits;
mod moving;
mod socket;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{Browser, TempDir, Testee};

/// What a command said and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A directory with a store in it, and the settings by which servers and commands find it.
#[derive(Debug)]
struct Place {
    directory: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Place {
    fn new(backend: &str) -> Self {
        let directory = TempDir::new();
        let table = directory.path().join("table").display().to_string();
        let settings = vec![
            ("MAYPOLE_SESSION_BACKEND", backend.to_owned()),
            ("MAYPOLE_SESSION_TABLE_PATH", table),
        ];
        Self { directory, settings }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of the store.
    fn store(&self) -> PathBuf {
        let is_table = self.settings.iter().any(|(_, value)| value == "table");
        self.path().join(if is_table { "table" } else { "sessions" })
    }

    fn server(&self) -> Testee {
        let settings: Vec<_> =
            self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Testee::start(self.path(), &settings)
    }

    fn command(&self) -> std::process::Command {
        let testee = Testee::command(self.path());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_maypole-tested"));
        command
            .current_dir(self.path())
            .env_clear()
            .envs(testee.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .envs(self.settings.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs `maypole` with these words.
    fn run(&self, words: &[&str]) -> Said {
        let output = self.command().args(words).output().expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs `maypole session` with these words, which must work.
    #[track_caller]
    fn session(&self, words: &[&str]) -> Said {
        let said = self.run(&[&["session"], words].concat());
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said
    }

    /// The listed records, as JSON.
    fn list(&self, more: &[&str]) -> Vec<serde_json::Value> {
        let said = self.session(&[&["ls", "--json"], more].concat());
        said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.store()) else { return Vec::new() };
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|it| it == "sock")).collect()
    }
}

fn stop(mut server: Testee) {
    server.process.signal(libc::SIGTERM);
    assert_eq!(server.process.end().code(), Some(0));
}

/// A visitor who counted to `count`, and then logged in, if as somebody.
fn visitor(server: &Testee, count: i64, user: Option<&str>) -> Browser {
    let mut browser = server.browser();
    for n in 1..=count {
        assert_eq!(browser.get("/count").text(), n.to_string());
    }
    if let Some(user) = user {
        assert_eq!(browser.get(&format!("/login/{user}")).status, 204);
    }
    browser
}

fn kinds(records: &[serde_json::Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = records.iter().filter_map(|it| it["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn what_is_stored_is_told_while_a_server_runs_and_after() {
    for backend in ["file", "table"] {
        let place = Place::new(backend);
        let server = place.server();
        let ada = visitor(&server, 3, Some("ada"));
        let _guest = visitor(&server, 2, None);
        look_around(&place, true);
        stop(server);
        look_around(&place, false);
        let server = place.server();
        assert_eq!(ada.at(server.addr).get("/user").text(), "ada");
    }
}

fn look_around(place: &Place, runs: bool) {
    // Ada's first id was replaced by her login.
    assert_eq!(kinds(&place.list(&[])), ["replaced id", "session", "session"]);
    let all = place.list(&["--all"]);
    assert_eq!(kinds(&all), ["replaced id", "session", "session", "user index"]);
    let of_ada = place.list(&["--user", "ada"]);
    assert_eq!(of_ada.len(), 1);
    assert_eq!(place.list(&["--limit", "1"]).len(), 1);
    let key = of_ada[0]["key"].as_str().expect("a key");
    let handle = of_ada[0]["handle"].as_str().expect("a handle");
    assert_eq!(place.list(&[&key[..6]]).len(), 1);

    let listed = place.session(&["ls"]);
    assert_eq!(listed.err.contains("asked of process"), runs, "{}", listed.err);
    assert!(listed.err.starts_with("3 records, 1 reserved ones hidden"), "{}", listed.err);
    for name in [&key[..8], key, handle] {
        let shown = place.session(&["show", name]).out;
        assert!(shown.contains("user       ada") && shown.contains(handle), "{shown}");
        assert!(shown.contains("\"count\": 1 bytes of JSON"), "redacted: {shown}");
    }
    assert!(place.session(&["show", key, "--values"]).out.contains("\"count\": 3\n"));

    look_at_stats(place, runs);
    let swept = place.session(&["sweep"]).out;
    assert!(swept.starts_with("0 expired records deleted"), "{swept}");
}

fn look_at_stats(place: &Place, runs: bool) {
    let stats = place.session(&["stats", "--json"]).out;
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    let counted = ["sessions", "bound", "users", "revoked"].map(|name| stats[name].as_u64());
    assert_eq!(counted, [2, 1, 1, 0].map(Some), "{stats}");
    assert_eq!(stats["events"]["created"].as_u64(), runs.then_some(2), "{stats}");
    assert_eq!(stats["records"]["user index"], 1);
    let words = place.session(&["stats"]).out;
    assert!(words.contains("2 (1 with a user)") && words.contains("max_sessions)"), "{words}");
    assert!(words.contains("the store says"), "{words}");
}

#[test]
fn a_sweep_goes_through_to_the_end() {
    for (backend, runs) in [("file", true), ("file", false), ("table", true), ("table", false)] {
        let place = Place::new(backend).with("MAYPOLE_SESSION_IDLE_TIMEOUT", "1s");
        let place = place.with("MAYPOLE_SESSION_SWEEP_EVERY", "1h");
        let server = place.server();
        for _ in 0..40 {
            visitor(&server, 1, None);
        }
        let server = if runs {
            Some(server)
        } else {
            stop(server);
            None
        };
        crate::support::wait_until("all have expired", crate::support::PATIENCE, || {
            place.list(&[]).is_empty()
        });
        let swept = place.session(&["sweep"]).out;
        assert!(swept.starts_with("40 expired records deleted"), "{backend} {runs}: {swept}");
        let swept = place.session(&["sweep"]).out;
        assert!(swept.starts_with("0 expired records deleted"), "{swept}");
        drop(server);
    }
}

#[test]
fn a_revoked_session_is_dead_at_the_next_request() {
    for backend in ["file", "table"] {
        let place = Place::new(backend);
        let server = place.server();
        let mut guest = visitor(&server, 2, None);
        let key = place.list(&[])[0]["key"].as_str().expect("a key").to_owned();
        let said = place.session(&["revoke", &key[..8]]).out;
        assert_eq!(said, format!("ended {}\n", &key[..8]));
        assert_eq!(guest.get("/read").text(), "0", "{backend}");
        let again = place.run(&["session", "revoke", &key]);
        assert_eq!((again.code, again.err.contains("has ended already")), (Some(1), true));

        let mut ada = visitor(&server, 1, Some("ada"));
        let of_ada = place.list(&["--user", "ada"]);
        place.session(&["revoke", "--handle", of_ada[0]["handle"].as_str().expect("a handle")]);
        assert_eq!(ada.get("/user").text(), "nobody");

        let (mut one, mut two) =
            (visitor(&server, 1, Some("bob")), visitor(&server, 1, Some("bob")));
        let mut eve = visitor(&server, 1, Some("eve"));
        let said = place.session(&["revoke", "--user", "bob"]).out;
        assert_eq!(said, "ended all sessions of bob (2 were listed)\n");
        assert_eq!([one.get("/user").text(), two.get("/user").text()], ["nobody", "nobody"]);
        assert_eq!(eve.get("/user").text(), "eve");
        assert!(place.list(&["--user", "bob"]).iter().all(|record| record["revoked"] == true));

        let mut guest = visitor(&server, 1, None);
        assert_eq!(place.run(&["session", "revoke", "--everybody"]).code, Some(2));
        assert_eq!(eve.get("/user").text(), "eve", "nobody said --yes");
        place.session(&["revoke", "--everybody", "--yes"]);
        assert_eq!(eve.get("/user").text(), "nobody");
        assert_eq!(guest.get("/read").text(), "1", "anonymous sessions stay");
    }
}

#[test]
fn what_is_revoked_beside_no_server_stays_dead_when_one_starts() {
    for backend in ["file", "table"] {
        let place = Place::new(backend);
        let server = place.server();
        let (guest, ada) = (visitor(&server, 2, None), visitor(&server, 1, Some("ada")));
        let records = place.list(&[]);
        let key = records.iter().find(|it| it["kind"] == "session" && it["user"].is_null());
        stop(server);
        place.session(&["revoke", key.and_then(|it| it["key"].as_str()).expect("a key")]);
        place.session(&["revoke", "--user", "ada"]);
        let server = place.server();
        assert_eq!(guest.at(server.addr).get("/read").text(), "0");
        assert_eq!(ada.at(server.addr).get("/user").text(), "nobody");
    }
}
