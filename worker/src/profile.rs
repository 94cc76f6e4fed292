//! Where an episode's time goes: the programs of a learner's objectives, timed op by op.

use std::time::{Duration, Instant};

use crate::episodes::Episode;
use crate::kernels::Real;
use crate::objective::Objective;
use crate::ops::{Bilinear, Gated, Linear, Nonlinear, Pass, Slot};

/// One op of one layer, and what it takes in an episode.
#[derive(Clone, Debug)]
pub struct Timing {
    /// What the objective is over: the support set, the query set, or both as one batch.
    pub batch: &'static str,
    /// Which program the op stands in, and how it was interpreted: `forward`, `backward`, and their tangents.
    pub program: &'static str,
    /// The layer's place in the network, from the inputs on.
    pub layer: usize,
    /// The op's name.
    pub op: &'static str,
    /// Products, each with an addition, of one run; those with a border's zeros are not done, and not counted. Where episodes
    /// are computed side by side, a run is of sixteen.
    pub products: usize,
    /// How often an episode runs it.
    pub runs: usize,
    /// One run: the median of those timed.
    pub time: Duration,
}

/// Which examples of an episode an objective is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Examples {
    Support,
    Query,
    Both,
}

impl Examples {
    fn name(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Query => "query",
            Self::Both => "both",
        }
    }
}

/// An objective, and how often an episode computes its gradient and a product with its Hessian.
pub(crate) struct Share<'l, T> {
    pub(crate) examples: Examples,
    pub(crate) objective: &'l Objective<T>,
    pub(crate) gradients: usize,
    pub(crate) hessian_products: usize,
}

/// Times an objective's programs at `theta` on its examples of `episode`, `repeats` times each.
pub(crate) fn time<T: Real>(
    share: &Share<'_, T>,
    theta: &[T],
    episode: &Episode,
    repeats: usize,
) -> Vec<Timing> {
    let objective = share.objective;
    let (mut frame, mut plane) = (objective.frame(), objective.tangent_plane());
    match share.examples {
        Examples::Support => objective.load(&mut frame, &episode.support),
        Examples::Query => objective.load(&mut frame, &episode.query),
        Examples::Both => objective.load_episode(&mut frame, episode),
    }
    objective.set_parameters(&mut frame, theta);
    let mut table = Table { entries: Vec::new(), cursor: 0 };
    for _ in 0..repeats {
        table.cursor = 0;
        objective.profile(&mut frame, &mut plane, &mut |pass, at, layer| {
            layer(&mut Timed { pass, at, table: &mut table });
        });
    }
    let timing = |entry: Entry| {
        let mut times = entry.times;
        times.sort_unstable();
        let (program, tangent) = (entry.at.program, entry.at.tangent);
        Timing {
            batch: share.examples.name(),
            program,
            layer: entry.at.layer,
            op: entry.op,
            products: entry.products,
            runs: if tangent { share.hessian_products } else { share.gradients },
            time: times.get(times.len() / 2).copied().unwrap_or_default(),
        }
    };
    let mut timings: Vec<Timing> = Vec::new();
    for next in table.entries.into_iter().map(timing).filter(|timing| timing.runs > 0) {
        // An op that goes some images at a time is one op.
        let same = |timing: &&mut Timing| {
            (timing.program, timing.layer, timing.op) == (next.program, next.layer, next.op)
        };
        match timings.iter_mut().find(same) {
            Some(timing) => {
                timing.products += next.products;
                timing.time += next.time;
            }
            None => timings.push(next),
        }
    }
    timings
}

/// Where a program is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) program: &'static str,
    pub(crate) tangent: bool,
    pub(crate) layer: usize,
}

struct Entry {
    at: At,
    op: &'static str,
    products: usize,
    times: Vec<Duration>,
}

/// One entry for each op, in the order that they run in.
struct Table {
    entries: Vec<Entry>,
    cursor: usize,
}

/// Runs a program by another interpreter, and looks at the clock between its ops.
struct Timed<'p, T> {
    pass: &'p mut dyn Pass<T>,
    at: At,
    table: &'p mut Table,
}

impl<T: Real> Timed<'_, T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a profile is about time; no result depends on it"
    )]
    fn run(&mut self, op: &'static str, products: usize, run: impl FnOnce(&mut dyn Pass<T>)) {
        let started = Instant::now();
        run(self.pass);
        let time = started.elapsed();
        if self.table.cursor == self.table.entries.len() {
            self.table.entries.push(Entry { at: self.at, op, products, times: Vec::new() });
        }
        if let Some(entry) = self.table.entries.get_mut(self.table.cursor) {
            entry.times.push(time);
        }
        self.table.cursor += 1;
    }
}

/// The last part of a type's path.
fn short(name: &'static str) -> &'static str {
    let path = name.split('<').next().unwrap_or(name);
    path.rsplit("::").next().unwrap_or(path)
}

impl<T: Real> Pass<T> for Timed<'_, T> {
    fn linear(&mut self, op: &dyn Linear<T>, x: Slot, out: Slot) {
        self.run(short(op.name()), 0, |pass| pass.linear(op, x, out));
    }

    fn bilinear(&mut self, op: &dyn Bilinear<T>, start: Option<Slot>, a: Slot, b: Slot, out: Slot) {
        // A tangent has a term for each side that moves.
        let terms =
            if self.at.tangent { usize::from(a.moves()) + usize::from(b.moves()) } else { 1 };
        self.run(short(op.name()), terms * op.products(), |pass| {
            pass.bilinear(op, start, a, b, out);
        });
    }

    fn gated(
        &mut self,
        op: &dyn Gated<T>,
        start: Option<Slot>,
        [a, b]: [Slot; 2],
        gate: Slot,
        out: Slot,
    ) {
        let terms =
            if self.at.tangent { usize::from(a.moves()) + usize::from(b.moves()) } else { 1 };
        self.run(short(op.name()), terms * op.products(), |pass| {
            pass.gated(op, start, [a, b], gate, out);
        });
    }

    fn nonlinear(&mut self, op: &dyn Nonlinear<T>, x: &[Slot], out: Slot) {
        self.run(short(op.name()), 0, |pass| pass.nonlinear(op, x, out));
    }

    fn given_statistics(&mut self, out: Slot) -> bool {
        self.pass.given_statistics(out)
    }
}
