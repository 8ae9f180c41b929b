//! Reading a journal with all hands: one thread reads and checks, others fill the table.
//!
//! A key belongs to one of them, by its shard, so its frames are applied in their order.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::frame::{Header as Frame, Kind};
use super::locks::Locks;
use super::map::{Change, Map, shard_of};
use super::usage::{Held, Usage};

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// More threads would wait for the one that reads.
const MAX_LOADERS: usize = 4;

/// Chunks that wait for one thread; bounds the memory of a start.
const MAX_WAITING: usize = 4;

/// The threads that fill the table.
pub(super) struct Loaders(Vec<SyncSender<Batch>>);

/// Frames for one thread, by where they begin in a chunk that all share.
struct Batch {
    chunk: Arc<Vec<u8>>,
    frames: Vec<(usize, Frame)>,
}

/// Runs `read`, and returns when all that it handed over is in the table.
pub(super) fn with_loaders<L: Locks, R>(
    map: &Map<L>,
    usage: &Usage,
    read: impl FnOnce(Loaders) -> R,
) -> R {
    let count = thread::available_parallelism().map_or(1, usize::from).min(MAX_LOADERS);
    thread::scope(|scope| {
        let senders = (0..count).map(|_| {
            let (sender, receiver) = sync_channel(MAX_WAITING);
            scope.spawn(move || load(map, usage, receiver));
            sender
        });
        // Its end drops the senders, which ends the threads.
        read(Loaders(senders.collect()))
    })
}

fn load<L: Locks>(map: &Map<L>, usage: &Usage, batches: Receiver<Batch>) {
    let mut held = Held::default();
    for Batch { chunk, frames } in batches {
        for (at, frame) in frames {
            let bytes = chunk.get(at..).unwrap_or_default();
            held = held + map.restore(&frame.key, change(map, &frame, bytes));
        }
    }
    usage.count(held);
}

fn change<L: Locks>(map: &Map<L>, frame: &Frame, bytes: &[u8]) -> Change {
    match frame.kind {
        Kind::Put => Change::Put(frame.entry(bytes)),
        Kind::Remove => Change::Remove,
        Kind::Touch => match map.get(&frame.key) {
            Some(old) if old.version() == frame.version => {
                Change::Put(old.with_times(frame.deadline_ms, frame.seen))
            }
            _ => Change::Nothing,
        },
        Kind::End => Change::Nothing,
    }
}

/// A file read forward in chunks.
pub(super) struct Source<'a> {
    file: &'a File,
    loaders: &'a Loaders,
    buffer: Vec<u8>,
    /// Where in the buffer, and where in the file, the rest begins.
    at: usize,
    pub(super) offset: u64,
    end: u64,
    /// Frames of the buffer, for each thread.
    taken: Vec<Vec<(usize, Frame)>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a File, loaders: &'a Loaders, offset: u64, end: u64) -> Self {
        let taken = loaders.0.iter().map(|_| Vec::new()).collect();
        Self { file, loaders, buffer: Vec::new(), at: 0, offset, end, taken }
    }

    /// Makes at least so many bytes the rest, if the file has them.
    pub(super) fn fill(&mut self, bytes: usize) -> io::Result<()> {
        let have = self.buffer.len() - self.at;
        let from = self.offset + have as u64;
        let left = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        if have >= bytes || left == 0 {
            return Ok(());
        }
        let more = bytes.max(CHUNK_BYTES).min(left);
        let mut next = vec![0; have + more];
        let (start, space) = next.split_at_mut(have);
        start.copy_from_slice(self.rest());
        self.file.read_exact_at(space, from)?;
        self.hand_over();
        self.buffer = next;
        self.at = 0;
        Ok(())
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        let bytes = bytes.min(self.buffer.len() - self.at);
        self.at += bytes;
        self.offset += bytes as u64;
    }

    /// Notes the frame that the rest begins with.
    pub(super) fn take(&mut self, frame: &Frame) {
        let loader = shard_of(&frame.key) % self.taken.len().max(1);
        if let Some(taken) = self.taken.get_mut(loader) {
            taken.push((self.at, *frame));
        }
    }

    /// Gives the frames noted so far to the threads.
    pub(super) fn hand_over(&mut self) {
        let chunk = Arc::new(std::mem::take(&mut self.buffer));
        self.at = 0;
        for (taken, loader) in self.taken.iter_mut().zip(&self.loaders.0) {
            if !taken.is_empty() {
                let batch = Batch { chunk: Arc::clone(&chunk), frames: std::mem::take(taken) };
                // A thread only goes away by a panic, which the scope passes on.
                loader.send(batch).ok();
            }
        }
    }
}
