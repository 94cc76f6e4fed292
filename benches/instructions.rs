//! How many instructions kernels take: the same on every machine, however busy, so that a change that costs some is seen
//! where no time can be trusted.
//!
//! `cargo bench --bench instructions` runs fixed calls on AVX2 under Callgrind and compares the counts with those in
//! `instructions.txt`; `-- --record` writes them down. Callgrind has no AVX-512.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use lyceum_worker::kernels::{InstructionSet, Sample};

/// Counts may differ by this share: compilers differ more than a good change is small.
const TOLERANCE: f64 = 0.03;
/// Calls whose instructions are counted.
const CALLS: u64 = 10;
/// What tells this program that Callgrind runs it.
const CHILD: &str = "--sample";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, sample, calls] = &arguments[..]
        && first == CHILD
    {
        return run(sample, calls);
    }
    let machine = "avx2".parse::<InstructionSet>();
    if machine.is_err() || !cfg!(target_arch = "x86_64") {
        return not_checked("this machine has no AVX2");
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        return not_checked("valgrind is not installed");
    }
    let mut counts = BTreeMap::new();
    for sample in Sample::all() {
        match count(sample.name) {
            Ok(count) => {
                counts.insert(sample.name.to_owned(), count);
            }
            Err(problem) => {
                eprintln!("{}: {problem}", sample.name);
                return ExitCode::FAILURE;
            }
        }
    }
    if arguments.iter().any(|argument| argument == "--record") {
        record(&counts)
    } else {
        compare(&counts)
    }
}

fn not_checked(reason: &str) -> ExitCode {
    println!("NOT CHECKED: instructions of kernels: {reason}");
    ExitCode::SUCCESS
}

/// Calls a sample: what Callgrind runs.
fn run(name: &str, calls: &str) -> ExitCode {
    let (Ok(set), Ok(calls)) = ("avx2".parse(), calls.parse::<u64>()) else {
        return ExitCode::FAILURE;
    };
    for sample in Sample::all().iter_mut().filter(|sample| sample.name == name) {
        for _ in 0..calls {
            std::hint::black_box(sample.run(set));
        }
    }
    ExitCode::SUCCESS
}

/// Instructions of a call, without what comes before and after: the difference between two numbers of calls.
fn count(sample: &str) -> Result<u64, String> {
    let whole = |calls: u64| {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let ended = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program)
            .args([CHILD, sample, &calls.to_string()])
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&ended.stderr);
        let collected = text.lines().find_map(|line| line.split_once("Collected :"));
        let number = collected.and_then(|(_, number)| number.trim().parse::<u64>().ok());
        number.filter(|_| ended.status.success()).ok_or_else(|| format!("Callgrind says: {text}"))
    };
    Ok(whole(1 + CALLS)?.saturating_sub(whole(1)?) / CALLS)
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

fn record(counts: &BTreeMap<String, u64>) -> ExitCode {
    let mut text = String::new();
    for (name, count) in counts {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{count:>10} {name}");
    }
    match std::fs::write(file(), &text) {
        Ok(()) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", file().display());
            ExitCode::FAILURE
        }
    }
}

fn compare(counts: &BTreeMap<String, u64>) -> ExitCode {
    let Ok(text) = std::fs::read_to_string(file()) else {
        return not_checked("nothing was recorded; cargo bench --bench instructions -- --record");
    };
    let lines = text.lines().filter_map(|line| line.trim().split_once(' '));
    let recorded: BTreeMap<&str, u64> =
        lines.filter_map(|(count, name)| Some((name, count.parse().ok()?))).collect();
    let mut same = true;
    for (name, &count) in counts {
        let before = recorded.get(name.as_str()).copied();
        let change = before.map(|before| count as f64 / before as f64 - 1.0);
        let fits = change.is_some_and(|change| change.abs() <= TOLERANCE);
        let change = change.map_or("not recorded".to_owned(), |change| {
            format!("{:+.1} % of what was recorded", 100.0 * change)
        });
        println!("{:<7} {count:>10} {name}: {change}", if fits { "as was" } else { "DIFFERS" });
        same &= fits;
    }
    if same {
        return ExitCode::SUCCESS;
    }
    eprintln!("where the change is meant: cargo bench --bench instructions -- --record");
    ExitCode::FAILURE
}
