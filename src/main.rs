//! The `lyceum` command: it composes the coordinator and the worker, and holds no logic of its own.

mod bench;

use clap::{Parser, Subcommand};

/// Distributed, task-parallel meta-training.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Times named workloads against the machine's peak.
    Bench(bench::Bench),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Bench(bench) => bench.run(),
    }
}
