//! The program: parse, run, exit code.

use clap::Parser;
use trunkline::cli::{self, Cli, Output};

/// Threads for reading files and the ledger. Each keeps a little memory, so there are few.
const BLOCKING_THREADS_MAX: usize = 8;

fn main() -> anyhow::Result<()> {
    trunkline::memory::bound();
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        // Told to the very stderr that cannot be written, on a full disk, it would end the program.
        .log_internal_errors(false)
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
