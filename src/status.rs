//! `lyceum status ADDRESS`: asks a coordinator where its run is, and ends the run where it is told to.

use clap::Args;
use lyceum_coordinator::status::{self as control, ControlError};
use serde::Serialize;

use crate::dial::Dial;
use crate::output::print;
use crate::words::{self, counted, duration, rate};

/// Prints where the run of the coordinator at ADDRESS is, and who works on it.
#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    coordinator: Dial,
    /// Ends the run, as Ctrl-C does: it writes a checkpoint of its last complete meta-step, and --resume goes on from there
    #[arg(long)]
    stop: bool,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    run: String,
    phase: &'static str,
    /// How many meta-steps are complete, and how many there are to be.
    meta_step: u64,
    meta_steps: u64,
    /// The digest of the current meta-parameters.
    parameters: String,
    /// Of the last meta-step; absent before the first one, and accuracy in regression.
    loss: Option<f64>,
    accuracy: Option<f64>,
    /// Of training, of late; absent before there is a rate, and what is left while nobody works.
    episodes_per_second: Option<f64>,
    seconds_left: Option<f64>,
    workers: Vec<Worker>,
    /// Whether the run was told to end.
    stopping: bool,
}

#[derive(Debug, Serialize)]
struct Worker {
    worker: u64,
    name: String,
    threads: u32,
    instruction_set: String,
    /// How many of its episodes were accepted.
    episodes: u64,
}

impl Status {
    /// Asks once, ends the run if it is to, and prints what it was.
    ///
    /// # Errors
    /// Where the address is none, nothing answers in time, or the run is over.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { coordinator, stop, json } = self;
        let channel = coordinator.connect().await?;
        let failed = |silence: &str, error: ControlError| match error {
            ControlError::Call(status) => coordinator.failed(silence, &status),
            error @ ControlError::Wire(_) => {
                anyhow::Error::from(error).context(format!("{} {silence}", coordinator.address))
            }
        };
        let status = control::ask(channel.clone()).await;
        let status = status.map_err(|error| failed("does not say where its run is", error))?;
        if stop {
            let told = control::stop(channel).await;
            told.map_err(|error| failed("does not stop its run", error))?;
        }
        let line = Line::of(status, stop);
        print(&if json { serde_json::to_string(&line)? } else { line.table() })
    }
}

impl Line {
    fn of(status: control::Status, stopping: bool) -> Self {
        let workers = status.workers.into_iter().map(|(id, worker)| Worker {
            worker: id.0,
            name: worker.hello.name,
            threads: worker.hello.threads,
            instruction_set: worker.hello.instruction_set,
            episodes: worker.episodes,
        });
        Self {
            run: status.run,
            phase: status.phase.name(),
            meta_step: status.step.0,
            meta_steps: status.steps,
            parameters: status.parameters.to_string(),
            loss: status.last.map(|(loss, _)| loss),
            accuracy: status.last.and_then(|(_, accuracy)| accuracy),
            episodes_per_second: status.episodes_per_second,
            seconds_left: status.seconds_left,
            workers: workers.collect(),
            stopping,
        }
    }

    fn table(&self) -> String {
        let row = |name: &str, value: String| format!("{name:<12} {value}");
        let mut rows = vec![
            row("run", self.run.clone()),
            row("phase", self.phase.to_owned()),
            row("meta-step", format!("{} of {}", self.meta_step, self.meta_steps)),
            row("parameters", format!("{:.12}…", self.parameters)),
        ];
        rows.extend(self.loss.map(|loss| row("loss", words::loss(loss))));
        let accuracy = self.accuracy.map(|accuracy| format!("{:.1} %", 100.0 * accuracy));
        rows.extend(accuracy.map(|accuracy| row("accuracy", accuracy)));
        let per_second = self.episodes_per_second.map(rate);
        rows.extend(per_second.map(|rate| row("rate", format!("{rate} episodes/s"))));
        rows.extend(self.seconds_left.map(|left| row("left", duration(left))));
        if self.workers.is_empty() {
            rows.push(row("workers", "none".to_owned()));
        }
        rows.extend(self.workers.iter().map(|worker| {
            let Worker { worker, name, threads, instruction_set, episodes } = worker;
            let threads = counted(*threads, "thread", "threads");
            let episodes = counted(*episodes, "episode", "episodes");
            row(
                &format!("worker-{worker}"),
                format!("{name} · {threads} · {instruction_set} · {episodes}"),
            )
        }));
        if self.stopping {
            rows.push("stopping: it writes a checkpoint that --resume goes on from".to_owned());
        }
        rows.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::ids::{Digest, MetaStep, WorkerId};
    use lyceum_common::wire::Hello;
    use lyceum_coordinator::status::{Phase, WorkerStatus};

    use super::*;

    #[test]
    fn a_table_says_what_there_is_to_say() {
        let hello = Hello { name: "big".into(), threads: 8, instruction_set: "avx512".into() };
        let mut status = control::Status {
            run: "glyphs-maml".into(),
            phase: Phase::Validation,
            step: MetaStep(120),
            steps: 2000,
            parameters: Digest([0xab; 32]),
            last: Some((0.51234, Some(0.875))),
            episodes_per_second: Some(321.4),
            seconds_left: Some(95.0),
            workers: [(WorkerId(3), WorkerStatus { hello, episodes: 640 })].into(),
        };
        let table = Line::of(status.clone(), true).table();
        let expected = [
            "run          glyphs-maml",
            "phase        validation",
            "meta-step    120 of 2000",
            "parameters   abababababab…",
            "loss         0.5123",
            "accuracy     87.5 %",
            "rate         321 episodes/s",
            "left         2 min",
            "worker-3     big · 8 threads · avx512 · 640 episodes",
            "stopping: it writes a checkpoint that --resume goes on from",
        ];
        assert_eq!(table.lines().collect::<Vec<_>>(), expected);

        (status.last, status.episodes_per_second, status.seconds_left) = (None, None, None);
        status.workers.clear();
        let table = Line::of(status, false).table();
        assert!(table.ends_with("abababababab…\nworkers      none"), "{table}");
    }
}
