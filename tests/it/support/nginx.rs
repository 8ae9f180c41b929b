//! nginx in front of nodes, with the configuration that the README shows.

use std::net::SocketAddr;
use std::process::Command;

use super::process::{Process, wait_until};
use super::redis::free_port;
use super::{Nodes, PATIENCE, TempDir};

/// A running nginx; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) addr: SocketAddr,
    process: Process,
    _directory: TempDir,
}

impl Nginx {
    /// The README's nginx in front of these nodes, without TLS; `None` where it is not installed.
    pub(crate) fn before(nodes: &Nodes) -> Option<Self> {
        if !is_nginx_installed() {
            return None;
        }
        let directory = TempDir::new();
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = readme_block("nginx")
            .replace("127.0.0.1:8443 ssl", &addr.to_string())
            .replace("127.0.0.1:8081", &nodes.addr(0).to_string())
            .replace("127.0.0.1:8082", &nodes.addr(1).to_string());
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("ssl_"));
        std::fs::write(directory.path().join("nginx.conf"), lines.collect::<Vec<_>>().join("\n"))
            .expect("a file");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory.path()).args(["-c", "nginx.conf", "-e", "nginx.log"]);
        let mut process = Process::start(&mut command);
        wait_until("nginx listens", PATIENCE, || {
            assert!(process.is_running(), "{:?}", process.words_so_far());
            std::net::TcpStream::connect(addr).is_ok()
        });
        Some(Self { addr, process, _directory: directory })
    }
}

impl Drop for Nginx {
    /// Asks it to end its workers: those of a killed one live on, and listen.
    fn drop(&mut self) {
        if self.process.is_running() {
            self.process.signal(libc::SIGTERM);
        }
        // It may not panic here; the process itself is killed after that.
        for _ in 0..1000 {
            if !self.process.is_running() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Whether nginx is there. Where tests are run for others to rely on, it must be.
pub(crate) fn is_nginx_installed() -> bool {
    let is_there = Command::new("nginx").arg("-v").output().is_ok_and(|it| it.status.success());
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "nginx is not installed");
        eprintln!("skipped: nginx is not installed");
    }
    is_there
}

/// The only block of this language in the README's section "Several servers".
pub(crate) fn readme_block(language: &str) -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let readme = readme.expect("a README");
    let (_, section) = readme.split_once("\n## Several servers\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let opening = format!("\n```{language}\n");
    let mut blocks = section.split(&opening).skip(1);
    let block = blocks.next().unwrap_or_else(|| panic!("no block of {language}"));
    assert!(blocks.next().is_none(), "two blocks of {language}");
    let (block, _) = block.split_once("\n```").expect("an end of the block");
    format!("{block}\n")
}
