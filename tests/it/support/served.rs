//! `trunkline serve` as a process of its own: what it answers while it runs, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::binary::{Ran, ended, terminate};
use super::wait::until;
use super::world::World;

/// `[serve]` of the tests: a free port, and nothing waits long.
pub const QUICK: &str = "[serve]\nlisten = \"127.0.0.1:0\"\npoll_s = 1\nhold_retry_s = 1\nschedule = []\n";

/// A process that serves; killed when dropped.
pub struct Served {
    /// There until somebody waits for its end.
    child: Option<Child>,
    pub base: String,
    pub client: reqwest::Client,
    /// Held open, so that the process can write to it.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Served {
    /// Serves the sessions of a world; what it says goes to the test's own output.
    pub fn start(world: &World) -> Served {
        let mut command = world.command(&["serve", "--source", &world.source()]);
        command.stderr(Stdio::inherit());
        Served::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Served {
        let mut child = command.spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let base = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Served { child: Some(child), base, client: reqwest::Client::new(), _stdout: stdout }
    }

    /// Status and text of an answer; none if the process is gone.
    async fn try_get(&self, path: &str) -> Result<(u16, String), reqwest::Error> {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).await.expect("an answer")
    }

    pub async fn ready(&self) -> (u16, Value) {
        let (status, text) = self.get("/readyz").await;
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    /// Waits until it is ready.
    pub async fn is_ready(&self) {
        until("it is ready", async || self.ready().await.0 == 200).await;
    }

    /// One figure, by its name and labels as they stand on the page.
    pub async fn figure(&self, name: &str) -> Option<f64> {
        let (status, page) = self.get("/metrics").await;
        assert_eq!(status, 200, "{page}");
        figure_of(&page, name)
    }

    /// When its last look at the sessions without trouble began; none before the first, and none of a process that is gone.
    pub async fn looked_at(&self) -> Option<f64> {
        let (_, page) = self.try_get("/metrics").await.ok()?;
        figure_of(&page, "trunkline_last_poll_timestamp_seconds{source=\"sessions\"}").filter(|at| *at > 0.0)
    }

    /// Waits for two more looks at the source, of which the second began after now.
    pub async fn looks_twice(&self) {
        for _ in 0..2 {
            let before = self.looked_at().await;
            until("it looks again", async || self.looked_at().await > before).await;
        }
    }

    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("nobody has waited for it yet")
    }

    /// Asks it to stop, and waits until it has.
    pub async fn terminate(self) -> Option<i32> {
        terminate(self.child.as_ref().expect("nobody has waited for it yet"));
        self.ended().await.code
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ran {
        ended(self.child.take().expect("nobody has waited for it yet")).await
    }
}

fn figure_of(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
