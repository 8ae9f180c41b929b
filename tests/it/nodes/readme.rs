//! The README's page about several servers, as written, but for the ports.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{
    Backend, Nginx, Nodes, PATIENCE, TempDir, Wire, copy_program, free_port, is_installed,
    is_nginx_installed, readme_block, wait_until,
};

/// A shell that goes through the page; whatever it started ends with it.
struct Shell {
    child: Child,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Shell {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new("bash")
            .current_dir(directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, output }
    }

    /// Runs a command and gives the lines it printed.
    fn run(&mut self, command: &str) -> Vec<String> {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{command}\necho; echo @@@").expect("the shell listens");
        let mut lines: Vec<_> = self
            .output
            .by_ref()
            .map(|line| line.expect("a line").trim_end().to_owned())
            .take_while(|line| line != "@@@")
            .collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: the call takes two numbers; the shell is not waited for yet, so the group is its.
        #[expect(unsafe_code, reason = "std cannot kill a group of processes")]
        unsafe {
            libc::kill(-group, libc::SIGKILL);
        }
        self.child.wait().ok();
    }
}

/// The program the page starts, as `cargo build` leaves it beside this test.
fn counter() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.parent()?.parent()?.join("04_session_counter");
    if !program.is_file() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", program.display());
        eprintln!("skipped: {} is not built", program.display());
        return None;
    }
    Some(program)
}

/// Without what differs from run to run.
fn masked(line: &str) -> String {
    for name in ["Server: ", "Date: "] {
        if line.starts_with(name) {
            return name.to_owned();
        }
    }
    match line.split_once("set-cookie: __Host-session=") {
        Some((_, rest)) => {
            let (id, rest) = rest.split_at(43);
            let (attributes, _) = rest.split_once("Expires=").expect("an end of the cookie");
            assert!(!id.contains(';') && attributes.starts_with(';'), "{line}");
            format!("set-cookie{attributes}")
        }
        None => line.to_owned(),
    }
}

#[test]
fn the_page_holds_word_by_word() {
    let Some(counter) = counter() else { return };
    let are_installed = ["curl", "redis-server"].into_iter().all(is_installed);
    if !are_installed || !is_nginx_installed() {
        return;
    }
    let directory = TempDir::new();
    let ports: Vec<_> = (0..4).map(|_| free_port()).collect();
    let old = ["6379", "8081", "8082", "8443"];
    let with_ports = |text: String| {
        old.iter().zip(&ports).fold(text, |text, (old, new)| text.replace(old, &new.to_string()))
    };
    let write = |name: &str, language: &str| {
        let path = directory.path().join(name);
        std::fs::write(path, with_ports(readme_block(language))).expect("a file");
    };
    write("config.ini", "ini");
    write("nginx.conf", "nginx");
    copy_program(&counter, &directory.path().join("04_session_counter"));

    let mut shell = Shell::start(directory.path());
    // Nothing that it starts in the background shall write between the answers.
    shell.run(&with_ports(readme_block("sh")).replace(" &\n", " >/dev/null 2>&1 &\n"));
    for port in &ports {
        wait_until("all programs listen", PATIENCE, || {
            std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok()
        });
    }
    // A node that started before redis did tries again soon.
    for port in &ports[1..3] {
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], *port));
        wait_until("the node has found redis", PATIENCE, || {
            Wire::connect(addr).get("/count").status == 200
        });
    }
    let page = with_ports(readme_block("text"));
    for step in page.split("$ ").skip(1) {
        let (command, expected) = step.split_once('\n').expect("a line");
        let printed: Vec<_> = shell.run(command).iter().map(|line| masked(line)).collect();
        let expected: Vec<_> = expected.trim_end().lines().map(masked).collect();
        assert_eq!(printed, expected, "$ {command}");
    }
}

const TRUSTING: [(&str, &str); 1] = [("MAYPOLE_SERVER_TRUSTED_PROXIES", "127.0.0.1")];

#[test]
fn nodes_learn_the_client_from_nginx_and_from_nobody_else() {
    let nodes = Nodes::start_with(Backend::File, 2, &TRUSTING);
    let Some(nginx) = Nginx::before(&nodes) else { return };
    let mut wire = Wire::connect(nginx.addr);
    for _ in 0..2 {
        wire.send("GET /seen-as HTTP/1.1\r\nHost: shop.example\r\n");
        wire.send("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n");
        wire.send("Forwarded: for=6.6.6.6;proto=https\r\nX-Forwarded-Host: evil.example\r\n\r\n");
        assert_eq!(wire.answer().text(), "http 127.0.0.1 shop.example");
    }
}

#[test]
fn an_upgrade_passes_nginx() {
    let nodes = Nodes::start(Backend::File, 2);
    let Some(nginx) = Nginx::before(&nodes) else { return };
    let mut wire = Wire::connect(nginx.addr);
    wire.send("GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(wire.answer().status, 101);
    wire.send("hello");
    assert_eq!(wire.take(5), b"hello");
}

#[test]
fn connections_to_the_nodes_are_kept() {
    let nodes = Nodes::start(Backend::File, 2);
    let Some(nginx) = Nginx::before(&nodes) else { return };
    let peers: std::collections::BTreeSet<_> =
        (0..20).map(|_| Wire::connect(nginx.addr).get("/peer").text()).collect();
    assert_eq!(peers.len(), 2, "one connection a node: {peers:?}");
}

/// A node dies of a request it has begun: nginx asks the other one when that is harmless, and
/// reports a failure when it is not.
#[test]
fn a_post_is_never_sent_to_a_second_node() {
    let nodes = Nodes::start(Backend::File, 2);
    let Some(nginx) = Nginx::before(&nodes) else { return };
    let mut visitor = nodes.visitor();
    visitor.text(0, "/count");
    let head = |method: &str, path: &str| visitor.browser.head(method, path);
    let mut read = Wire::connect(nginx.addr);
    read.send(head("GET", "/die") + "\r\n");
    // The first node ended, then the second one did: there was no third.
    assert_eq!(read.answer().status, 502);
    nodes.restart(0);
    nodes.restart(1);
    let Some(nginx) = Nginx::before(&nodes) else { return };
    let mut write = Wire::connect(nginx.addr);
    write.send(head("POST", "/count-and-die") + "Content-Length: 0\r\n\r\n");
    assert_eq!(write.answer().status, 502);
    let alive = || (0..2).filter(|node| Wire::try_connect(nodes.addr(*node)).is_some()).count();
    wait_until("the node is dead", PATIENCE, || alive() < 2);
    assert_eq!(alive(), 1, "it reached one node only");
    let mut again = Wire::connect(nginx.addr);
    again.send(head("GET", "/read") + "\r\n");
    assert_eq!(again.answer().text(), "2", "it was done once, and the other node serves");
}
