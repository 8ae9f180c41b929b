//! The private socket of a running server: whose it is, when it comes and goes, and what it stands.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::{Place, stop, visitor};
use crate::support::{PATIENCE, Process, TempDir, Testee, copy_program, wait_until};

#[test]
fn it_is_private_and_goes_with_its_server() {
    for backend in ["file", "table"] {
        let place = Place::new(backend);
        let server = place.server();
        let [socket] = &place.sockets()[..] else { panic!("one socket") };
        let mode = |path| std::fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode(socket.as_path()) & 0o777, 0o600);
        assert_eq!(mode(place.store().as_path()) & 0o777, 0o700);
        stop(server);
        assert!(place.sockets().is_empty());
    }
}

#[test]
fn what_a_killed_server_leaves_is_replaced_by_the_next() {
    for backend in ["file", "table"] {
        let place = Place::new(backend);
        let mut server = place.server();
        let visitor = visitor(&server, 2, None);
        let left = place.sockets();
        server.process.signal(libc::SIGKILL);
        server.process.end();
        assert_eq!(place.sockets(), left, "nobody could clear it away");
        let said = place.session(&["ls"]);
        assert!(!said.err.contains("asked of process"), "{}", said.err);
        let server = place.server();
        assert_eq!(place.sockets().len(), 1);
        assert_ne!(place.sockets(), left);
        assert!(place.session(&["ls"]).err.contains("asked of process"));
        assert_eq!(visitor.at(server.addr).get("/read").text(), "2");
    }
}

#[test]
fn servers_that_share_a_directory_have_one_each() {
    let place = Place::new("file");
    let (one, mut two) = (place.server(), place.server());
    assert_eq!(place.sockets().len(), 2);
    let (mut here, mut there) = (visitor(&one, 1, None), visitor(&two, 1, None));
    let stats = place.session(&["stats", "--json"]).out;
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    assert_eq!(stats["servers"].as_array().map(Vec::len), Some(2));
    assert_eq!(stats["events"]["created"], 2, "of both together");
    two.process.signal(libc::SIGKILL);
    two.process.end();
    let three = place.server();
    assert_eq!(place.sockets().len(), 2, "the living one's stayed");
    for record in place.list(&[]) {
        place.session(&["revoke", record["key"].as_str().expect("a key")]);
    }
    assert_eq!(here.get("/read").text(), "0");
    there = there.at(three.addr);
    assert_eq!(there.get("/read").text(), "0");
}

/// A connection to the socket of the only server.
fn connect(place: &Place) -> UnixStream {
    let stream = UnixStream::connect(&place.sockets()[0]).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Whatever is left to read, until the server cuts the connection.
fn rest(mut stream: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A server that cuts what it did not read resets the connection.
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    bytes
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("short");
    [&len.to_be_bytes()[..], bytes].concat()
}

#[test]
fn garbage_oversized_and_half_frames_harm_nobody() {
    for backend in ["file", "table"] {
        let place = Place::new(backend);
        let server = place.server();
        let mut visitor = visitor(&server, 1, None);
        let hello = frame(b"maypole-admin\x00\x01");
        let cases: [Vec<u8>; 9] = [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            vec![0xff; 4096],
            frame(b""),
            frame(b"maypole-admin\x00\x63"),
            [&hello[..], &[0xff; 8]].concat(),
            [&hello[..], &frame(b"")].concat(),
            [&hello[..], &frame(&vec![200; 5000])].concat(),
            // A load of four billion keys, and a list in the year 584 million.
            [&hello[..], &frame(&[&[1][..], &[0; 8], &[0xff; 4]].concat())].concat(),
            [&hello[..], &frame(&[&[6][..], &[0xff; 12], &[7]].concat())].concat(),
        ];
        for bytes in cases {
            let stream = connect(&place);
            (&stream).write_all(&bytes).ok();
            rest(&stream);
        }
        // A half frame, whose sender leaves; and one whose sender stays, and is in nobody's way.
        let stays = connect(&place);
        for stream in [&connect(&place), &stays] {
            let half = [&hello[..], &[0, 0, 1, 0, 1, 2, 3]].concat();
            let mut stream = stream;
            stream.write_all(&half).expect("it takes it");
        }
        assert_eq!(place.list(&[]).len(), 1);
        assert_eq!(visitor.get("/count").text(), "2");
        drop(stays);
        stop(server);
    }
}

#[test]
fn clients_are_bounded_and_cut_at_the_end() {
    let place = Place::new("table");
    let server = place.server();
    let waiting: Vec<_> = (0..8).map(|_| connect(&place)).collect();
    let refused = || place.run(&["session", "ls"]).err.contains("as many clients as it takes");
    wait_until("all eight are served", PATIENCE, refused);
    drop(waiting);
    wait_until("there is room again", PATIENCE, || !refused());
    let idle = connect(&place);
    stop(server);
    assert!(rest(&idle).is_empty(), "the stop did not wait for it");
}

#[test]
fn another_user_is_refused() {
    // SAFETY: the call takes nothing and cannot fail.
    #[expect(unsafe_code, reason = "std does not tell who we are")]
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        eprintln!("skipped: only root can be another user");
        return;
    }
    let place = Place::new("file");
    let server = place.server();
    visitor(&server, 1, None);
    // Somebody opened all doors.
    for path in [place.path().to_owned(), place.store(), place.sockets()[0].clone()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    }
    let copy = place.path().join("maypole");
    copy_program(Path::new(env!("CARGO_BIN_EXE_maypole-tested")), &copy);
    let mut command = std::process::Command::new(&copy);
    let own = place.command();
    let variables = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.args(["session", "ls"]).current_dir(place.path()).env_clear().envs(variables);
    let output = command.uid(65534).gid(65534).output().expect("it runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("only its own user and root"), "{words}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_path_too_long_for_sockets_is_no_obstacle() {
    let directory = TempDir::new();
    let long = directory.path().join("a".repeat(90)).join("b".repeat(60));
    std::fs::create_dir_all(&long).expect("directories");
    let path = long.join("sessions").display().to_string();
    let place = Place::new("file").with("MAYPOLE_SESSION_FILE_PATH", &path);
    let server = place.server();
    visitor(&server, 1, None);
    let said = place.session(&["ls"]);
    assert!(said.err.contains("asked of process"), "{}", said.err);
    stop(server);
    let left = std::fs::read_dir(&path).expect("the store").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| name.len() == 2), "no socket is left");
}

#[test]
fn it_can_be_turned_off_and_moved() {
    let off = Place::new("table").with("MAYPOLE_ADMIN_ENABLED", "false");
    let server = off.server();
    assert!(off.sockets().is_empty());
    let said = off.run(&["session", "ls"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("in use by process") && said.err.contains("admin socket"),
        "{said:?}"
    );
    stop(server);
    off.session(&["ls"]);

    let moved = Place::new("file");
    let elsewhere = moved.path().join("admin");
    let moved = moved.with("MAYPOLE_ADMIN_PATH", elsewhere.to_str().expect("UTF-8"));
    let server = moved.server();
    assert!(moved.sockets().is_empty());
    assert_eq!(std::fs::read_dir(&elsewhere).expect("made").count(), 1);
    assert!(moved.session(&["ls"]).err.contains("asked of process"));
    stop(server);

    // Open to others: refused where somebody asked for it.
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut command = Testee::command(moved.path());
    command.envs(moved.settings.iter().map(|(name, value)| (*name, value)));
    let (code, words) = Process::start(&mut command).end_with_words();
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("cannot open an admin socket") && words.contains("0755"), "{words}");
}

#[test]
fn a_stopped_server_is_not_waited_for_without_end() {
    let place = Place::new("file");
    let server = place.server();
    visitor(&server, 1, None);
    server.process.signal(libc::SIGSTOP);
    let mut waiting = place.command();
    waiting.args(["session", "ls"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut waiting = waiting.spawn().expect("it runs");
    std::thread::sleep(Duration::from_millis(50));
    assert!(waiting.try_wait().expect("a state").is_none(), "it waits for the server");
    server.process.signal(libc::SIGCONT);
    assert!(waiting.wait().expect("a status").success());
}
