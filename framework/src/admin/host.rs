//! The end of the admin socket that lies in a running server: a few plain threads that ask the
//! server's store what clients ask for.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;
use socket2::SockRef;

use super::place;
use super::remote::put_counts;
use super::wire::{self, Call, Fields, GREETING, MAX_PAGE, MAX_PAGE_BYTES, MAX_SWEEP, VERSION};
use crate::app::{Figures, Service};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::sync::ShortLock;
use crate::session::stores::open_private_directory;
use crate::session::{SessionStore, StoreError, Swap, Touch};

/// Clients served at once; one more is told so.
const MAX_CLIENTS: usize = 8;

/// A client that says nothing for so long is cut; its list may be read by a person, page by page.
const IDLE_TIME: Duration = Duration::from_secs(300);

/// A client that stops reading its answer, or never greets, is cut after this.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// The socket of a running server.
pub(crate) struct AdminSocket {
    path: PathBuf,
    listener: Arc<UnixListener>,
    accepting: JoinHandle<()>,
    shared: Arc<Shared>,
}

/// What the threads share.
struct Shared {
    service: Arc<Service>,
    figures: Option<Figures>,
    location: String,
    is_stopped: AtomicBool,
    clients: ShortLock<Vec<Client>>,
}

struct Client {
    stream: UnixStream,
    thread: JoinHandle<()>,
}

impl AdminSocket {
    /// Opens the socket, if the settings want one.
    ///
    /// # Errors
    /// `Start` if that fails and somebody wrote `[admin] path`. Else it is a warning: a server
    /// without it still serves.
    pub(crate) fn start(
        config: &Config,
        service: &Arc<Service>,
        figures: Option<Figures>,
        location: &str,
    ) -> Result<Option<Self>> {
        let Some(dir) = place::directory(config).filter(|_| config.admin.enabled) else {
            return Ok(None);
        };
        let opened = open_private_directory(dir).and_then(|dir| {
            let shared = Arc::new(Shared {
                service: Arc::clone(service),
                figures,
                location: location.to_owned(),
                is_stopped: AtomicBool::new(false),
                clients: ShortLock::new(Vec::new()),
            });
            Ok(Self::open(&dir, shared)?)
        });
        match opened {
            Ok(socket) => Ok(Some(socket)),
            Err(error) => {
                let what = format!("cannot open an admin socket in {}", dir.display());
                if config.admin.path.is_some() {
                    let what = format!("{}: {what}", config.place("admin", "path"));
                    return Err(Error::new(ErrorKind::Start, what).caused_by(error.chain()));
                }
                let error = Error::new(ErrorKind::Start, what).caused_by(error.chain());
                log::warn!("{}; `maypole session` cannot reach this server", error.chain());
                Ok(None)
            }
        }
    }

    fn open(dir: &std::path::Path, shared: Arc<Shared>) -> io::Result<Self> {
        let (listener, path) = place::bind(dir)?;
        let listener = Arc::new(listener);
        let (accepts, serves) = (Arc::clone(&listener), Arc::clone(&shared));
        let accepting = Builder::new()
            .name("maypole-admin".to_owned())
            .spawn(move || accept_loop(&accepts, &serves))?;
        Ok(Self { path, listener, accepting, shared })
    }

    /// Closes the socket, cuts its clients and removes its name.
    pub(crate) fn stop(self) {
        place::remove(&self.path);
        self.shared.is_stopped.store(true, Ordering::Release);
        SockRef::from(&*self.listener).shutdown(Shutdown::Both).ok();
        self.accepting.join().ok();
        let clients = self.shared.clients.with(std::mem::take);
        for client in clients {
            client.stream.shutdown(Shutdown::Both).ok();
            client.thread.join().ok();
        }
    }
}

impl fmt::Debug for AdminSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminSocket").field("path", &self.path).finish_non_exhaustive()
    }
}

fn accept_loop(listener: &UnixListener, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        if shared.is_stopped.load(Ordering::Acquire) {
            return;
        }
        let begun = accepted.and_then(|(stream, _)| begin(stream, shared));
        match begun {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                log::warn!("the admin socket refused a client: {error}");
            }
            Err(error) => {
                log::warn!("the admin socket lost a client: {error}");
                pause();
            }
        }
    }
}

/// Out of descriptors or threads: give what runs a chance to end.
#[expect(clippy::disallowed_methods, reason = "a thread of its own, not a worker")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// Checks who is there, and serves them on a thread of their own.
fn begin(stream: UnixStream, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE_TIME))?;
    stream.set_write_timeout(Some(WRITE_TIME))?;
    let user = Uid::from_raw(getsockopt(&stream, PeerCredentials)?.uid());
    if user != Uid::effective() && !user.is_root() {
        refuse(&stream, "only its own user and root may use the admin socket");
        let what = format!("it runs as user {user}, not as user {}", Uid::effective());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    let running = shared.clients.with(|clients| {
        clients.retain(|client| !client.thread.is_finished());
        clients.len()
    });
    if running >= MAX_CLIENTS {
        refuse(&stream, "the admin socket has as many clients as it takes; try again later");
        return Ok(());
    }
    let (theirs, ours) = (stream.try_clone()?, Arc::clone(shared));
    let thread = Builder::new().name("maypole-admin-client".to_owned()).spawn(move || {
        // However it ends: a client that went wrong is told by the end of its connection.
        if let Err(error) = serve(&theirs, &ours) {
            log::debug!("a client of the admin socket was cut: {error}");
        }
        theirs.shutdown(Shutdown::Both).ok();
    })?;
    shared.clients.with(|clients| clients.push(Client { stream, thread }));
    Ok(())
}

fn refuse(stream: &UnixStream, why: &'static str) {
    wire::write_frame(stream, &wire::answer(Err(StoreError::unavailable(why)))).ok();
}

fn serve(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(WRITE_TIME))?;
    let Some(greeting) = wire::read_frame(stream)? else { return Ok(()) };
    if greeting.strip_prefix(GREETING) != Some(&VERSION.to_be_bytes()) {
        refuse(stream, "command and server are of different versions of maypole");
        return Ok(());
    }
    let mut welcome = Fields::default();
    welcome.0.extend(std::process::id().to_be_bytes());
    welcome.bytes(shared.location.as_bytes());
    wire::write_frame(stream, &wire::answer(Ok(welcome)))?;
    stream.set_read_timeout(Some(IDLE_TIME))?;
    while let Some(frame) = wire::read_frame(stream)? {
        let Some(call) = Call::decode(&frame) else {
            refuse(stream, "this is no call");
            return Ok(());
        };
        wire::write_frame(stream, &wire::answer(shared.perform(call)))?;
    }
    Ok(())
}

impl Shared {
    fn perform(&self, call: Call) -> Result<Fields, StoreError> {
        let store: &dyn SessionStore = &**self.service.sessions().store();
        let mut out = Fields::default();
        match call {
            Call::Load { now, keys } => {
                let found = store.load_many(&keys, now)?;
                put_page(&mut out, found, |records, found| match found {
                    Some(stored) => {
                        records.byte(1).stored(&stored);
                    }
                    None => {
                        records.byte(0);
                    }
                });
            }
            Call::Swap { now, key, expected, new } => {
                let swap = store.swap(&key, expected, &new, now)?;
                log::debug!("a swap of {}.. over the admin socket: {swap:?}", key.short());
                out.byte(match swap {
                    Swap::Done => 0,
                    Swap::Conflict => 1,
                    Swap::Missing => 2,
                });
            }
            Call::Touch { now, key, version, renewed } => {
                let touch = store.touch(&key, version, renewed, now)?;
                out.byte(if touch == Touch::Done { 0 } else { 1 });
            }
            Call::Remove { key } => {
                out.byte(store.remove(&key)?.into());
            }
            Call::Sweep { now, budget } => {
                let swept = store.sweep(now, budget.min(MAX_SWEEP))?;
                out.count(swept.examined).count(swept.removed).byte(swept.finished.into());
            }
            Call::List { now, after, limit } => {
                let page = store.list(after.as_ref(), limit.min(MAX_PAGE), now)?;
                put_page(&mut out, page, |records, (key, stored)| {
                    records.key(&key).stored(&stored);
                });
            }
            Call::Settle { key } => store.settle(&key)?,
            Call::Figures => {
                let figures = self.figures.as_ref().map(|figures| figures()).unwrap_or_default();
                put_counts(&mut out, &figures);
                put_counts(&mut out, &self.service.session_events());
            }
        }
        Ok(out)
    }
}

/// Puts as many records as fit into one answer, with their number before them.
fn put_page<T>(out: &mut Fields, page: Vec<T>, mut put: impl FnMut(&mut Fields, T)) {
    let mut records = Fields::default();
    let mut count = 0;
    for record in page {
        put(&mut records, record);
        count += 1;
        if records.0.len() >= MAX_PAGE_BYTES {
            break;
        }
    }
    out.count(count).0.extend(records.0);
}
