//! Files beneath a directory, under names that clients choose: everything that leads out is 404.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::support::{Journal, TempDir, TestServer, check, serve};

/// A directory `static` with links in it, and secrets beside it.
#[expect(clippy::large_stack_frames, reason = "on a test's own thread")]
fn tree() -> TempDir {
    let directory = TempDir::new();
    let root = directory.path().join("static");
    let at = |name: &str| root.join(name);
    let secret = directory.path().join("secret.txt");
    for made in [at("deep/er"), at(".git"), at("releases/2"), directory.path().join("static2")] {
        fs::create_dir_all(made).expect("a directory");
    }
    for (path, text) in [
        (at("a.txt"), "hello"),
        (at("deep/er/b c.txt"), "deep"),
        (at(".env"), "secret"),
        (at(".git/config"), "secret"),
        (at("releases/2/page.html"), "two"),
        (at("back\\slash"), "secret"),
        (at("c:drive"), "secret"),
        (secret.clone(), "secret"),
        (directory.path().join("static2/x.txt"), "secret"),
    ] {
        fs::write(path, text).expect("a file");
    }
    for (target, link) in [
        (Path::new("a.txt"), "in.txt"),
        (&at("deep/er/b c.txt"), "in_absolute.txt"),
        (Path::new("releases/2"), "current"),
        (&secret, "out.txt"),
        (Path::new("../secret.txt"), "out_relative.txt"),
        (Path::new("out.txt"), "out_by_two.txt"),
        (directory.path(), "out"),
        (Path::new("../../static2"), "deep/beside"),
        (Path::new("/dev/zero"), "device"),
        (Path::new("round.txt"), "round.txt"),
        (Path::new("nowhere"), "dangling.txt"),
    ] {
        symlink(target, at(link)).expect("a link");
    }
    symlink(&root, directory.path().join("linked")).expect("a link");
    drop(UnixListener::bind(at("socket")).expect("a socket"));
    let made = Command::new("mkfifo").arg(at("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    directory
}

/// The tree as a program would serve it, and at `POST /any` under whatever name the body holds.
fn beneath() -> (TestServer, TempDir) {
    let directory = tree();
    let root = directory.path().to_path_buf();
    let server = serve("", move |app| {
        for name in ["static", "linked", "missing"] {
            let place = root.join(name);
            app.get(&format!("/{name}/{{*path}}"), move |ctx| {
                ctx.file_in(&place, ctx.param::<String>("path")?)
            });
        }
        app.post("/any", move |ctx| {
            ctx.file_in(root.join("static"), String::from_utf8(ctx.body_bytes()?)?)
        });
    });
    (server, directory)
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn what_lies_beneath_is_sent() {
    let (server, _directory) = beneath();
    for (target, text) in [
        ("/static/a.txt", "hello"),
        ("/static/%61.txt", "hello"),
        ("/static/deep/er/b%20c.txt", "deep"),
        ("/static/deep%2Fer%2fb%20c.txt", "deep"),
        ("/static/deep/../a.txt", "hello"),
        ("/static/in.txt", "hello"),
        ("/static/in_absolute.txt", "deep"),
        ("/static/current/page.html", "two"),
        ("/linked/a.txt", "hello"),
        ("/linked/in_absolute.txt", "deep"),
        ("/linked/current/page.html", "two"),
    ] {
        check(&server, get(target), &format!("200 {text}\nopen"));
    }
    let answer = server.connect().get("/static/current/page.html");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let modified = answer.header("last-modified").expect("a date");
    let fresh = format!("\r\nIf-Modified-Since: {modified}\r\n\r\n");
    let again = get("/static/current/page.html").replace("\r\n\r\n", &fresh);
    check(&server, again, "304\nopen");
    check(&server, get("/static/a.txt").replace("GET", "HEAD"), "200\nopen");
}

#[test]
fn nothing_leads_out_of_the_directory() {
    let (server, directory) = beneath();
    let absolute = directory.path().join("secret.txt").display().to_string();
    let long = format!("/static/{}", "a".repeat(300));
    for target in [
        "/static//etc/hostname",
        "/static/%2fetc/hostname",
        "/static/%2Fetc%2Fhostname",
        &format!("/static/{absolute}"),
        &format!("/static/{}", absolute.replace('/', "%2f")),
        // Routing takes `..` away before any route is looked for.
        "/static/../secret.txt",
        "/static/deep/../../secret.txt",
        "/static/",
        "/static/deep",
        "/static/deep/",
        "/static/deep//er/b%20c.txt",
        "/static/a.txt/",
        "/static/a.txt/b",
        "/static/.env",
        "/static/.git/config",
        "/static/c:drive",
        "/static/out.txt",
        "/static/out_relative.txt",
        "/static/out_by_two.txt",
        "/static/out/secret.txt",
        "/static/out/static/a.txt/../../secret.txt",
        "/static/deep/beside/x.txt",
        "/static/device",
        "/static/round.txt",
        "/static/dangling.txt",
        "/static/pipe",
        "/static/socket",
        "/static/nothing",
        &long,
    ] {
        check(&server, get(target), "404 404 Not Found\nopen");
    }
    // What routing refuses, whatever the route: it never comes so far.
    for target in [
        "/static/%2e%2e/secret.txt",
        "/static/.%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/deep%2f..%2f..%2fsecret.txt",
        "/static/a.txt%00",
        "/static/..%5csecret.txt",
    ] {
        let answer = server.connect().get(target);
        assert_eq!((answer.status, answer.text().contains("secret")), (400, false), "{target}");
    }
}

#[test]
fn a_path_from_elsewhere_is_held_to_the_same() {
    let (server, directory) = beneath();
    let absolute = directory.path().join("secret.txt").display().to_string();
    let post = |path: &str| {
        format!("POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{path}", path.len())
    };
    check(&server, post("deep/er/b c.txt"), "200 deep\nopen");
    for path in [
        "",
        ".",
        "..",
        "/",
        &absolute,
        "../secret.txt",
        "deep/../../secret.txt",
        "deep/../a.txt",
        "./a.txt",
        "../static2/x.txt",
        "../static/a.txt",
        "a.txt\0",
        "a.txt\0.png",
        "back\\slash",
        "..\\secret.txt",
        "C:\\secret.txt",
        "C:/secret.txt",
        "\\\\host\\share",
        "%2e%2e/secret.txt",
    ] {
        check(&server, post(path), "404 404 Not Found\nopen");
    }
}

#[test]
fn a_directory_that_is_missing_is_told_in_the_log() {
    let (server, directory) = beneath();
    check(&server, get("/missing/a.txt"), "404 404 Not Found\nopen");
    let path = directory.path().join("missing").display().to_string();
    let told = Journal::lines_with(&path);
    assert!(told.iter().any(|line| line.contains("No such file")), "{told:?}");
}
