//! The `lyceum` command: it composes the coordinator and the worker, and holds no logic of its own.

mod adapt;
mod bench;
mod compare;
mod comparison;
mod config;
mod coordinator;
mod count;
mod data;
mod dial;
mod episode_choice;
mod episodes;
mod evaluate;
mod export;
mod finished;
mod gradient;
mod health;
mod lake_runs;
mod local_workers;
mod log;
mod output;
mod place;
mod plot;
mod progress;
mod replay;
mod report;
mod serve;
mod signals;
mod status;
mod summary;
mod tally;
mod train;
mod trained;
mod words;
mod worker;

use std::process::ExitCode;
use std::{io, panic};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

/// Distributed, task-parallel meta-training.
///
/// `lyceum train` trains on this machine; `lyceum coordinator` and `lyceum worker` are its parts on a cluster.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trains on this machine: a coordinator and workers in one process, over loopback gRPC
    Train(train::Train),
    /// Holds a run and farms its episodes to workers that dial in
    Coordinator(coordinator::Coordinator),
    /// Computes episodes for a coordinator
    Worker(worker::Worker),
    /// Asks a coordinator where its run is, or ends it
    Status(status::Status),
    /// Prepares a data set, and says what it is
    Data(data::Data),
    /// Tests a trained model on held-out classes
    Evaluate(evaluate::Evaluate),
    /// Adapts a trained model to a few labelled images, and says what others show
    Adapt(adapt::Adapt),
    /// Writes a trained model as one file, for PyTorch
    Export(export::Export),
    /// Tests two trained models on the same episodes, and says whether they differ
    Compare(compare::Compare),
    /// Writes down the episodes that a run would be evaluated on
    Episodes(episodes::Episodes),
    /// Prints runs as a Markdown table, beside what was published
    Report(report::Report),
    /// Computes meta-steps of a run again, and compares the bits
    Replay(replay::Replay),
    /// Computes one episode from a file, to compare with another framework
    Gradient(gradient::Gradient),
    /// Prints a configuration with its defaults; what is off is left out
    Config(config::Config),
    /// Times named workloads against the machine's peak
    Bench(bench::Bench),
    /// Asks a coordinator whether it serves
    Health(health::Health),
}

/// glibc gives freed memory back to the system, which hands it out again page by page: of a step without compute with 112k
/// parameters that was a third (docs/performance/step.md). It stops once a larger block was freed, up to 32 MB, that it had asked the system for.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(31 << 20)));
}

/// Tokio's runtime. Where the system has no more threads, or files, tokio panics, and would then wait for ever for the threads
/// that it has begun.
fn runtime() -> io::Result<Runtime> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|panicked| {
        let problem = panicked.payload_as_str().unwrap_or("the system refuses");
        output::tell(&format!("error: cannot begin: {problem}"));
        std::process::exit(1)
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    panic::set_hook(hook);
    runtime
}

fn main() -> ExitCode {
    keep_freed_memory();
    let command = Cli::parse().command;
    let started = log::begin().and_then(|()| runtime().context("cannot begin"));
    let ended = started.and_then(|runtime| {
        // On one of the runtime's threads: this one would have to be woken up for every message.
        runtime.block_on(async { tokio::spawn(run(command)).await })?
    });
    match ended {
        Ok(status) => status,
        Err(error) => {
            output::tell(&format!("error: {}", output::causes(&error)));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Train(train) => return train.run().await,
        Command::Coordinator(coordinator) => return coordinator.run().await,
        Command::Replay(replay) => return replay.run().await,
        Command::Worker(worker) => worker.run().await,
        Command::Status(status) => status.run().await,
        Command::Data(data) => tokio::task::block_in_place(|| data.run()),
        Command::Evaluate(evaluate) => tokio::task::block_in_place(|| evaluate.run()),
        Command::Adapt(adapt) => tokio::task::block_in_place(|| adapt.run()),
        Command::Export(export) => tokio::task::block_in_place(|| export.run()),
        Command::Compare(compare) => tokio::task::block_in_place(|| compare.run()),
        Command::Episodes(episodes) => tokio::task::block_in_place(|| episodes.run()),
        Command::Report(report) => report.run(),
        Command::Gradient(gradient) => gradient.run(),
        Command::Config(config) => config.run(),
        Command::Bench(bench) => tokio::task::block_in_place(|| bench.run()),
        Command::Health(health) => health.run().await,
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_readmes_commands_are_understood() {
        // A line that goes on in the next is one command with it.
        let readme = include_str!("../README.md").replace("\\\n", " ");
        let commands: Vec<_> = readme.lines().filter(|line| line.starts_with("lyceum ")).collect();
        assert!(commands.len() > 10, "{commands:?}");
        for line in commands {
            let command = line.split(" #").next().unwrap_or(line);
            if let Err(error) = Cli::try_parse_from(command.split_whitespace()) {
                panic!("`{command}`: {error}");
            }
        }
    }
}
