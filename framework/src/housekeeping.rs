//! What has to be done for sessions beside requests: sweeping out the expired, syncing files.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::app::{Service, Upkeep};
use crate::error::Result;

/// Records looked at in one step of a sweep; between steps others get the disk.
const SWEEP_STEP: usize = 256;

/// The housekeeping thread of a server.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    /// Starts the thread: `upkeep` as often as the store wants it, a sweep `sweep_every` so often.
    pub(crate) fn start(
        service: &Arc<Service>,
        upkeep: Option<Upkeep>,
        sweep_every: Duration,
    ) -> Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let service = Arc::clone(service);
        let step = upkeep.as_ref().map_or(sweep_every, |upkeep| upkeep.every.min(sweep_every));
        let thread = std::thread::Builder::new().name("maypole-housekeeping".to_owned()).spawn(
            move || {
                let mut swept = Instant::now();
                while stopped.recv_timeout(step) == Err(RecvTimeoutError::Timeout) {
                    upkeep.iter().for_each(Upkeep::pass);
                    if swept.elapsed() >= sweep_every {
                        sweep(&service);
                        swept = Instant::now();
                    }
                }
                upkeep.iter().for_each(Upkeep::end);
            },
        )?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// One pass through the store, in small steps, for at most a second.
fn sweep(service: &Service) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        match service.sweep_sessions(SWEEP_STEP) {
            Ok(swept) if swept.finished => return,
            Ok(_) => {}
            Err(error) => {
                log::warn!("sweeping sessions failed: {error}");
                return;
            }
        }
    }
}
