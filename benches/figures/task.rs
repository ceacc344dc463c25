//! What a process of its own is started for: this binary again, with the task as its argument.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{loops, planning, sending};

/// The argument before the task. Cargo itself gives `--bench`.
const TASK: &str = "--task";
/// No task takes a third of this on a slow machine; a longer one hangs.
const LIMIT: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    Send(sending::Send),
    PostBare(loops::PostBare),
    SendThenSleep(loops::SendThenSleep),
    Plan(planning::Planning),
    InsertBare(planning::Planning),
}

pub fn from_arguments() -> anyhow::Result<Option<Task>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != TASK).skip(1);
    arguments.next().map(|task| serde_json::from_str(&task).context("not a task")).transpose()
}

impl Task {
    /// Does it in this process and prints what came of it.
    pub fn perform(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(async {
            match self {
                Task::Send(task) => Ok(serde_json::to_value(sending::send(task).await?)?),
                Task::PostBare(task) => Ok(serde_json::to_value(loops::post_bare(task).await?)?),
                Task::SendThenSleep(task) => Ok(serde_json::to_value(loops::send_then_sleep(task).await?)?),
                Task::Plan(task) => Ok(serde_json::to_value(planning::plan(task).await?)?),
                Task::InsertBare(task) => Ok(serde_json::to_value(planning::insert_bare(task).await?)?),
            }
        });
        let result: anyhow::Result<serde_json::Value> = result;
        println!("{}", result?);
        Ok(())
    }

    /// Has it done by a process of its own.
    pub fn delegate<R: DeserializeOwned>(&self) -> anyhow::Result<R> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(TASK)
            .arg(serde_json::to_string(self)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > LIMIT {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("a task took longer than {LIMIT:?}: {self:?}");
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        anyhow::ensure!(status.success(), "a task failed: {self:?}");
        let mut text = String::new();
        child.stdout.take().context("no output")?.read_to_string(&mut text)?;
        Ok(serde_json::from_str(&text)?)
    }
}
