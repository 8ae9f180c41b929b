//! How much the store holds, and what to drop when it is full.
//!
//! Nothing counts a million files at start, so the count is made of what could be counted in a few
//! milliseconds, extrapolated (keys are hashes, so sub-directories fill evenly), then followed by
//! every creation and removal of this process, and set right by every sweep that passes. With
//! several processes on one directory each learns of the others' files by its own sweep.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use super::contents::{Contents, Read};
use super::directory::{Directory, SHARDS, key_of};
use super::disk::{self, Access, Guarded, Opened};
use super::record::{Held, Hold};
use crate::session::StoreKey;

/// Disk blocks are the unit of the byte quota: a file of 1 KB takes one.
const BLOCK_BYTES: u64 = 4096;

/// The time the start may take for counting.
const COUNT_TIME: Duration = Duration::from_millis(10);

/// Below this many files an extrapolation would be a guess.
const MIN_SAMPLE: u64 = 1000;

/// Files whose size is asked for in one sub-directory; the rest are taken to be like them.
const SIZED_PER_SHARD: u64 = 16;

/// Records looked at to find one that may be evicted; and how many make a good choice.
const EVICTION_LOOKS: usize = 512;
const EVICTION_CHOICE: usize = 32;

/// How long a search without a victim is believed, so that a flood of new visitors against a full
/// store does not become a flood of searches, or of evictions in vain.
pub(super) const NO_VICTIM_TIME: Duration = Duration::from_millis(50);

/// What a store holds, as far as this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileUsage {
    /// Session files, expired ones that were not swept yet included.
    pub sessions: u64,
    /// Disk space of these files.
    pub bytes: u64,
    /// Records dropped since the start to make room.
    pub evicted: u64,
}

/// The quotas of a store and the count that is held against them.
pub(super) struct Usage {
    max: Shard,
    count: Guarded<Count>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

struct Count {
    shards: Vec<Shard>,
    is_counted: Vec<bool>,
    evicted: u64,
    no_victim_at: Option<Instant>,
}

impl Usage {
    pub(super) fn new(max_sessions: u64, max_total_bytes: u64) -> Self {
        let count = Count {
            shards: vec![Shard::default(); SHARDS],
            is_counted: vec![false; SHARDS],
            evicted: 0,
            no_victim_at: None,
        };
        let max = Shard { files: max_sessions, bytes: max_total_bytes };
        Self { max, count: Guarded::new(count) }
    }

    /// Counts as much as fits into the time the start has for it.
    pub(super) fn count_at_start(&self, directory: &Directory) -> io::Result<()> {
        let started = Instant::now();
        for shard in 0..=u8::MAX {
            if started.elapsed() > COUNT_TIME {
                break;
            }
            self.counted(shard, count_shard(directory, shard)?);
        }
        Ok(())
    }

    /// Sets what a sub-directory holds, by one who has just looked.
    pub(super) fn counted(&self, shard: u8, found: Shard) {
        self.count.with(|count| {
            let at = usize::from(shard);
            if let (Some(known), Some(is_counted)) =
                (count.shards.get_mut(at), count.is_counted.get_mut(at))
            {
                *known = found;
                *is_counted = true;
            }
        });
    }

    /// Takes the room of a newcomer's file, if there is any.
    pub(super) fn reserve(&self, shard: u8, file_bytes: u64) -> bool {
        self.count.with(|count| {
            let total = count.total();
            let has_room = total.files < self.max.files
                && total.bytes.saturating_add(blocks(file_bytes)) <= self.max.bytes;
            if has_room {
                count.add(shard, file_bytes);
            }
            has_room
        })
    }

    /// Takes the room of a new file, whether there is any or not.
    pub(super) fn take(&self, shard: u8, file_bytes: u64) {
        self.count.with(|count| count.add(shard, file_bytes));
    }

    /// Nobody is given up for newcomers for a while if that cannot make room for one: more is there
    /// than may be.
    pub(super) fn evicted_in_vain(&self) {
        self.count.with(|count| {
            let total = count.total();
            if total.files > self.max.files || total.bytes > self.max.bytes {
                count.no_victim_at = Some(Instant::now());
            }
        });
    }

    /// Gives back the room of a file that is gone, or was not created after all.
    pub(super) fn released(&self, shard: u8, file_bytes: u64) {
        self.count.with(|count| {
            count.no_victim_at = None;
            if let Some(known) = count.shards.get_mut(usize::from(shard)) {
                known.files = known.files.saturating_sub(1);
                known.bytes = known.bytes.saturating_sub(blocks(file_bytes));
            }
        });
    }

    /// Notes that a file has grown. Growth is never refused: only new sessions are.
    pub(super) fn grown(&self, shard: u8, by_bytes: u64) {
        self.count.with(|count| {
            if let Some(known) = count.shards.get_mut(usize::from(shard)) {
                known.bytes += blocks(by_bytes);
            }
        });
    }

    pub(super) fn now(&self) -> FileUsage {
        self.count.with(|count| {
            let Shard { files, bytes } = count.total();
            FileUsage { sessions: files, bytes, evicted: count.evicted }
        })
    }

    /// Drops one record that is expired or evictable, the one unused for longest of those seen;
    /// false if none was found.
    pub(super) fn evict(&self, directory: &Directory, now: SystemTime) -> io::Result<bool> {
        let is_hopeless = self.count.with(|count| {
            count.no_victim_at.is_some_and(|failed| failed.elapsed() < NO_VICTIM_TIME)
        });
        if is_hopeless {
            return Ok(false);
        }
        let start = getrandom::u32().map_err(io::Error::other)?.to_le_bytes()[0];
        let mut victims = Victims::default();
        for step in 0..=u8::MAX {
            if victims.is_enough() {
                break;
            }
            victims.look(directory, start.wrapping_add(step), now)?;
        }
        for (_, key) in victims.oldest_first() {
            if let Some((bytes, expired)) = evict_one(directory, &key, now)? {
                let [shard, ..] = *key.as_bytes();
                self.released(shard, bytes);
                if !expired {
                    self.count.with(|count| count.evicted += 1);
                    log::info!("session store full: evicted {}..", key.short());
                }
                return Ok(true);
            }
        }
        self.count.with(|count| count.no_victim_at = Some(Instant::now()));
        Ok(false)
    }
}

impl Count {
    fn add(&mut self, shard: u8, file_bytes: u64) {
        if let Some(known) = self.shards.get_mut(usize::from(shard)) {
            known.files += 1;
            known.bytes += blocks(file_bytes);
        }
    }

    fn total(&self) -> Shard {
        let sum = self.shards.iter().fold(Shard::default(), |sum, shard| Shard {
            files: sum.files + shard.files,
            bytes: sum.bytes + shard.bytes,
        });
        let counted = self.is_counted.iter().filter(|is_counted| **is_counted).count() as u64;
        if counted == SHARDS as u64 || counted == 0 || sum.files < MIN_SAMPLE {
            return sum;
        }
        let scale = |value: u64| value.saturating_mul(SHARDS as u64) / counted;
        Shard { files: scale(sum.files), bytes: scale(sum.bytes) }
    }
}

/// Records that may be dropped, with the time they were last used.
#[derive(Default)]
struct Victims {
    looked: usize,
    found: Vec<(SystemTime, StoreKey)>,
}

impl Victims {
    fn is_enough(&self) -> bool {
        self.looked >= EVICTION_LOOKS || (self.looked >= EVICTION_CHOICE && !self.found.is_empty())
    }

    fn look(&mut self, directory: &Directory, shard: u8, now: SystemTime) -> io::Result<()> {
        let Some(entries) = disk::entries(&directory.shard(shard))? else { return Ok(()) };
        for entry in entries {
            let Some(key) = key_of(&entry?.file_name(), shard) else { continue };
            self.looked += 1;
            if let Opened::File(file) = disk::open(&directory.record(&key), Access::Read)?
                && let Read::Record(seen) = Contents::read(&file, &file.metadata()?, &key)?
                && (seen.header.evictable || seen.header.is_expired(now))
            {
                self.found.push((seen.header.last_seen, key));
            }
            if self.is_enough() {
                break;
            }
        }
        Ok(())
    }

    fn oldest_first(mut self) -> Vec<(SystemTime, StoreKey)> {
        self.found.sort_unstable();
        self.found
    }
}

/// Removes the record if, under its lock, it still may be; gives its file size and whether it had
/// expired anyway.
pub(super) fn evict_one(
    directory: &Directory,
    key: &StoreKey,
    now: SystemTime,
) -> io::Result<Option<(u64, bool)>> {
    let Hold::Held(held) = Held::open(directory, key, Access::Read, Duration::ZERO)? else {
        return Ok(None);
    };
    let header = held.contents.header;
    let expired = header.is_expired(now);
    if !expired && !header.evictable {
        return Ok(None);
    }
    let bytes = held.contents.file_bytes();
    held.unlink()?;
    Ok(Some((bytes, expired)))
}

fn count_shard(directory: &Directory, shard: u8) -> io::Result<Shard> {
    let Some(entries) = disk::entries(&directory.shard(shard))? else {
        return Ok(Shard::default());
    };
    let mut files = 0;
    let (mut sized, mut sized_bytes) = (0, 0);
    for entry in entries {
        let entry = entry?;
        if key_of(&entry.file_name(), shard).is_none() {
            continue;
        }
        files += 1;
        if sized < SIZED_PER_SHARD
            && let Ok(found) = entry.metadata()
        {
            sized += 1;
            sized_bytes += blocks(found.size());
        }
    }
    let bytes = (sized_bytes * files).checked_div(sized).unwrap_or(0);
    Ok(Shard { files, bytes })
}

/// The disk space of a file of this length.
pub(super) fn blocks(file_bytes: u64) -> u64 {
    file_bytes.next_multiple_of(BLOCK_BYTES)
}
