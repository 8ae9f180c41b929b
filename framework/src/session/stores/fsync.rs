//! When saves reach the disk itself.

/// When a save is made to survive a power loss. In every mode it survives a kill -9 of the process.
///
/// A save that was written belongs to the kernel: it is there even if this program is killed in
/// the next moment. Only when the whole machine stops (no power, a crashed kernel) is what the
/// kernel had not brought to the disk lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// When the kernel sees fit, usually within 30 seconds: a power loss may take the sessions of
    /// that time back to what they were. Costs nothing.
    Never,
    /// In the background, every `fsync_interval`: a power loss may take back about as much. Costs
    /// requests next to nothing.
    #[default]
    Interval,
    /// Before it is acknowledged: a power loss takes back nothing, and each save waits for the
    /// disk.
    Always,
}
