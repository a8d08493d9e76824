//! How long to wait before a next try: doubling from half a second to a minute, with jitter so that many do not come
//! back at once.

use std::time::Duration;

/// Before the second try.
const FIRST_MS: u64 = 500;
/// Between later ones at most.
const LONGEST_MS: u64 = 60_000;
/// A remote may ask for longer; more than this is taken as this.
pub const ASKED_LONGEST: Duration = Duration::from_secs(3600);

/// The wait after `failures` failed tries (1 = the first failed), with `chance` in 0..1 as jitter of +-20 %. What the
/// remote `asked` for is never undercut.
pub fn wait(failures: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let doubled = FIRST_MS.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_MS);
    let jittered = Duration::from_millis((doubled as f64 * (0.8 + 0.4 * chance)) as u64);
    asked.map_or(jittered, |asked| jittered.max(asked.min(ASKED_LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stay_within_bounds() {
        let check = |failures, asked: Option<u64>, chance, expected_ms: u64| {
            assert_eq!(wait(failures, asked.map(Duration::from_secs), chance), Duration::from_millis(expected_ms));
        };
        check(1, None, 0.5, 500);
        check(1, None, 0.0, 400);
        check(2, None, 0.5, 1000);
        check(4, None, 0.5, 4000);
        check(40, None, 0.5, 60_000);
        check(u32::MAX, None, 1.0, 72_000);
        check(0, None, 0.5, 500);
        check(1, Some(30), 0.5, 30_000);
        check(1, Some(864_000), 0.5, 3_600_000);
    }
}
