//! The program: parse, run, exit code.

use clap::Parser;
use trunkline::cli::{self, Cli, Output};

/// Threads for reading files and the ledger. Each keeps a little memory, so there are few.
const BLOCKING_THREADS_MAX: usize = 8;

/// Keeps the allocator's memory small and the same, however long a run is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn bound_the_allocator() {
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

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn bound_the_allocator() {}

fn main() -> anyhow::Result<()> {
    bound_the_allocator();
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("TRUNKLINE_LOG").unwrap_or_else(|_| "trunkline=error".into()),
        )
        .init();
    let environment: std::collections::BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    #[cfg(feature = "proof")]
    trunkline::proof::arm(&environment).map_err(anyhow::Error::msg)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS_MAX).enable_all().build()?;
    let exit = runtime.block_on(cli::run(cli, environment, &mut Output::standard()));
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    std::process::exit(exit as i32)
}
