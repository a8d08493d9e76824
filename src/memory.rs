//! The allocator, told to keep little: glibc's, where the program is built with it; elsewhere nothing is to be told.

/// Keeps the allocator's memory small and the same, however long a run is. To be called before any other thread runs.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn bound() {
    /// Buffers above this go back to the system when they are freed. glibc raises its own threshold to the largest
    /// buffer seen, after which one large file would keep its memory for good.
    const MMAP_THRESHOLD_BYTES: i32 = 256 * 1024;
    /// By default every thread gets a heap of its own, and each of them grows to what that thread once needed.
    const HEAPS_MAX: i32 = 2;
    for (parameter, value) in [(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES), (libc::M_ARENA_MAX, HEAPS_MAX)] {
        // SAFETY: mallopt only sets a number of the allocator; no other thread runs yet.
        let set = unsafe { libc::mallopt(parameter, value) };
        debug_assert_eq!(set, 1, "glibc knows parameter {parameter}");
    }
}

/// Gives free pages back to the system. By itself a heap only shrinks from its end: one small value that another thread
/// keeps there holds all that a large file has needed before it, tens of megabytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back() {
    // SAFETY: malloc_trim takes the allocator's own locks and touches free pages only.
    let _is_anything_given = unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn bound() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

/// What this process has of its own, in KB.
#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
pub(crate) fn own_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line of the kernel");
    line.trim().strip_suffix(" kB").and_then(|kb| kb.trim().parse().ok()).expect("a number")
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_below_a_small_value_that_stays_is_given_back() {
        const VALUES: usize = 100_000;
        const BYTES: usize = 640;
        let before = own_kb();
        let mut values: Vec<Vec<u8>> = (0..VALUES).map(|_| vec![1; BYTES]).collect();
        let last = values.pop();
        assert!(own_kb() > before + 50_000, "the values are there");
        drop(values);
        assert!(own_kb() > before + 40_000, "the last one holds them");
        give_back();
        assert!(own_kb() < before + 20_000, "{} kB more than before", own_kb().saturating_sub(before));
        assert_eq!(last.map(|last| last.len()), Some(BYTES));
    }
}
