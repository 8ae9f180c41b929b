//! Giving back what deep calls left of a coroutine's stack, before a long wait.

use super::settings::in_force;

/// Pages on this and most machines; where they are larger, less is given back or nothing.
const PAGE: usize = 4096;
/// How far below the top of its stack a coroutine may note its [`mark`], and more. It also keeps
/// the lowest page out of reach: may looks there for the words it wrote, and takes their loss for
/// an overflow of the stack, which ends the process (may 0.3.51).
const MARGIN: usize = 4 * PAGE;

/// A place near the top of the running coroutine's stack; for [`trim`].
#[inline(never)]
pub(super) fn mark() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

/// Gives the pages below the running function's frame back to the system, down to the bottom of the
/// stack whose top [`mark`] is. On any other stack it does nothing.
#[inline(never)]
pub(super) fn trim(mark: usize) {
    let here = self::mark();
    let size = in_force().stack_kib * 1024;
    let Some((low, high)) = unused(mark, here, size) else { return };
    give_back(low, high - low);
}

/// The whole pages between the bottom of the stack and the frames in use.
fn unused(mark: usize, here: usize, size: usize) -> Option<(usize, usize)> {
    let depth = mark.checked_sub(here)?;
    if depth >= size.checked_sub(2 * MARGIN)? {
        return None;
    }
    let low = (mark - size).next_multiple_of(PAGE) + MARGIN;
    // The call into the system has frames of its own below this one.
    let high = (here - PAGE) / PAGE * PAGE;
    (low < high).then_some((low, high))
}

#[expect(unsafe_code, reason = "the system offers this by a C function only")]
fn give_back(low: usize, length: usize) {
    let low = std::ptr::with_exposed_provenance_mut(low);
    // SAFETY: `unused` gave whole pages of the running coroutine's own stack, at least a page below
    // the frames in use and `MARGIN` above its bottom. What lies there belongs to calls that have
    // returned; nobody reads it before writing it.
    unsafe { libc::madvise(low, length, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::{MARGIN, PAGE, mark, trim, unused};
    use crate::runtime::spawn;

    #[test]
    fn only_pages_between_the_frames_and_the_bottom_are_given_back() {
        let size = 256 * 1024;
        let top = 0x7000_0000_0000_usize;
        for depth in [100, 5000, 100_000, size - 2 * MARGIN - 1] {
            let mark = top - 800;
            let here = mark - depth;
            let Some((low, high)) = unused(mark, here, size) else { continue };
            assert!(low >= top - size + PAGE, "the lowest page stays");
            assert!(high + PAGE <= here && low < high, "the frames in use stay");
            assert_eq!((low % PAGE, high % PAGE), (0, 0));
        }
        assert!(unused(top, top - 1000, size).is_some());
        assert_eq!(unused(top, top - size + MARGIN, size), None, "too deep to be sure");
        assert_eq!(unused(top, top + 4096, size), None, "another stack above");
        assert_eq!(unused(top, top - 10 * size, size), None, "another stack below");
        assert_eq!(unused(top, top - 1000, 4096), None, "no stack has room for that");
    }

    /// Uses much of the stack, and says what it computed there.
    #[inline(never)]
    fn go_deep(levels: u32) -> u64 {
        let words = [u64::from(levels); 64];
        let below = if levels == 0 { 0 } else { go_deep(levels - 1) };
        below + std::hint::black_box(words).iter().sum::<u64>()
    }

    /// How many pages of the unused part of the running coroutine's stack are in memory.
    #[expect(unsafe_code, reason = "the system tells it by a C function only")]
    fn resident(mark: usize) -> usize {
        let size = super::in_force().stack_kib * 1024;
        let (low, high) = unused(mark, self::mark(), size).unwrap();
        let mut pages = vec![0_u8; (high - low) / PAGE];
        let start = std::ptr::with_exposed_provenance_mut(low);
        // SAFETY: the range is mapped, and `pages` has a byte for each of its pages.
        let outcome = unsafe { libc::mincore(start, high - low, pages.as_mut_ptr()) };
        assert_eq!(outcome, 0);
        pages.iter().filter(|page| **page & 1 == 1).count()
    }

    #[test]
    fn what_deep_calls_left_is_given_back() {
        let child = spawn(|| {
            let mark = mark();
            go_deep(100);
            let before = resident(mark);
            trim(mark);
            (before, resident(mark))
        });
        let (before, after) = child.unwrap().join().unwrap();
        assert!(before >= 12, "it went deep: {before} pages");
        assert!(after <= 1, "{after} of {before} pages stayed");
    }

    #[test]
    fn a_trimmed_coroutine_goes_on_and_may_go_deep_again() {
        let children: Vec<_> = (0..20)
            .map(|_| {
                spawn(|| {
                    let mark = mark();
                    let kept = [7_u8; 500];
                    let first = go_deep(100);
                    for _ in 0..50 {
                        trim(mark);
                        crate::sleep(std::time::Duration::from_millis(1));
                        assert_eq!(go_deep(100), first);
                    }
                    trim(mark);
                    assert_eq!(std::hint::black_box(kept), [7; 500]);
                })
                .unwrap()
            })
            .collect();
        children.into_iter().for_each(|child| child.join().unwrap());
    }
}
