//! The real program, as a cron line would start it: a clean environment, a folder, arguments.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::wait::DEADLINE;
use super::world::World;

/// How a run of the program ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Panics with everything that was said unless the exit code is this one.
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON ({error}):\n{}\n{}", self.stdout, self.stderr))
    }

    /// Panics unless stdout has this text.
    pub fn says(&self, text: &str) -> &Ran {
        assert!(self.stdout.contains(text), "`{text}` is not in stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless stderr has this text.
    pub fn tells(&self, text: &str) -> &Ran {
        assert!(self.stderr.contains(text), "`{text}` is not in stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }
}

/// The program with nothing of this machine's environment.
pub fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Where `scripts/coverage` asks what runs. Without it an instrumented program leaves a file where it stands.
    if let Some(place) = std::env::var_os("LLVM_PROFILE_FILE") {
        command.env("LLVM_PROFILE_FILE", place);
    }
    command
}

/// Runs a command off the reactor, on which the simulator may live.
pub async fn finish(mut command: Command) -> Ran {
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    Ran::of(output.expect("a thread that waits").expect("the program starts"))
}

impl World {
    /// The program in this world: its folder, its login, its ledger and its configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare();
        command.current_dir(self.folder.path()).envs(self.environment()).args(arguments);
        command.arg("--config").arg(self.config_path()).arg("--store").arg(self.store_path());
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments)).await
    }

    /// `trunkline sync` of [`super::world::DAY`], with further arguments.
    pub async fn run_sync(&self, further: &[&str]) -> Ran {
        finish(self.sync_command(further)).await
    }

    pub fn sync_command(&self, further: &[&str]) -> Command {
        let (source, day) = (self.source(), super::world::DAY.to_string());
        self.command(&[&["sync", "--source", &source, "--from", &day], further].concat())
    }
}

/// Asks a child to stop, as a supervisor does.
pub fn terminate(child: &Child) {
    signal(child.id(), "TERM");
}

fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(sent.expect("kill is there").success(), "SIG{name} to a child that is there");
}

/// Waits for a child's end off the reactor. One that does not come to it is killed, and fails the test.
pub async fn ended(child: Child) -> Ran {
    let id = child.id();
    let mut waiting = tokio::task::spawn_blocking(move || child.wait_with_output());
    let Ok(output) = tokio::time::timeout(DEADLINE, &mut waiting).await else {
        // Nobody has waited for it yet, so the id is still its own.
        signal(id, "KILL");
        panic!("the program does not end");
    };
    Ran::of(output.expect("a thread that waits").expect("a child to wait for"))
}
