use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::time::Duration;

use lyceum_common::ids::{EpisodeIndex, MetaStep, Split};
use lyceum_common::reduction::{Reduction, subtrees};
use lyceum_common::report::ReportSums;
use lyceum_common::seed::{OfEpisode, Purpose};
use proptest::prelude::*;

use super::*;

const PARAMETERS: usize = 5;

/// Gradients drawn from the seed, in reverse order.
struct StubThread {
    stub: Arc<Counts>,
    theta: Vec<f32>,
    drawn: Option<Seed<OfEpisode>>,
}

/// What was asked of the stub, what it panics on, and what holds its first gradient up.
#[derive(Default)]
struct Counts {
    versions: AtomicUsize,
    gradients: AtomicUsize,
    /// How many of these were of the episode that was drawn ahead.
    drawn_ahead: AtomicUsize,
    /// Is told what is drawn ahead.
    draws: Option<mpsc::Sender<Seed<OfEpisode>>>,
    /// The names of the threads that computed gradients.
    computed_by: Mutex<BTreeSet<String>>,
    panic_on: Option<u32>,
    gate: Mutex<Option<Gate>>,
}

/// Where a thread says that it is there, and waits until it is let through.
struct Gate {
    reached: mpsc::Sender<()>,
    opened: mpsc::Receiver<()>,
}

struct StubWork(Arc<Counts>);

fn word(seed: Seed<OfEpisode>) -> u32 {
    seed.stream(Purpose::Images).bits()
}

impl Work for StubWork {
    fn parameters(&self) -> usize {
        PARAMETERS
    }

    fn thread(&self) -> Box<dyn WorkThread> {
        Box::new(StubThread { stub: Arc::clone(&self.0), theta: Vec::new(), drawn: None })
    }

    fn layout_order(&self) -> Option<&[u32]> {
        Some(&[4, 3, 2, 1, 0])
    }
}

impl WorkThread for StubThread {
    fn set_parameters(&mut self, theta: &[f32]) {
        self.stub.versions.fetch_add(1, Ordering::Relaxed);
        self.theta = theta.to_vec();
    }

    fn draw(&mut self, seed: Seed<OfEpisode>) {
        self.drawn = Some(seed);
        if let Some(draws) = &self.stub.draws {
            // Received, or gone with a test that failed.
            let _ = draws.send(seed);
        }
    }

    fn meta_gradient(&mut self, seed: Seed<OfEpisode>, gradient: &mut [f32]) -> EpisodeReport {
        self.stub.gradients.fetch_add(1, Ordering::Relaxed);
        if self.drawn == Some(seed) {
            self.stub.drawn_ahead.fetch_add(1, Ordering::Relaxed);
        }
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        lock(&self.stub.computed_by).insert(name);
        let gate = lock(&self.stub.gate).take();
        if let Some(Gate { reached, opened }) = gate {
            reached.send(()).unwrap();
            // Opened, or gone with a test that failed.
            let _ = opened.recv();
        }
        let word = word(seed);
        assert_ne!(Some(word), self.stub.panic_on, "no such gradient");
        let mut draws = seed.stream(Purpose::Images);
        for (gradient, theta) in gradient.iter_mut().zip(self.theta.iter().rev()) {
            *gradient = theta + draws.uniform(-1e3, 1e3);
        }
        EpisodeReport { loss: f64::from(word), accuracy: 0.5 }
    }

    fn evaluate(&mut self, seed: Seed<OfEpisode>, split: Split) -> EpisodeReport {
        let loss = f64::from(word(seed)) + if split == Split::Test { 0.25 } else { 0.5 };
        EpisodeReport { loss, accuracy: f64::from(self.theta[0]) }
    }
}

fn pool(threads: usize) -> (Pool, Arc<Counts>) {
    pool_with(threads, Counts::default())
}

fn pool_with(threads: usize, counts: Counts) -> (Pool, Arc<Counts>) {
    let counts = Arc::new(counts);
    let work = Arc::new(StubWork(Arc::clone(&counts)));
    (Pool::new(work, NonZeroUsize::new(threads).unwrap()).unwrap(), counts)
}

fn theta() -> Arc<Vec<f32>> {
    vec![1.0, 2.0, 3.0, 4.0, 5.0].into()
}

fn computation(
    theta: &Arc<Vec<f32>>,
    step: u64,
    episodes: u64,
    range: EpisodeRange,
) -> Computation {
    let job = Job::Gradient { step: MetaStep(step) };
    Computation { job, parameters: Arc::clone(theta), seed: Seed::of_run(9), episodes, range }
}

fn compute(pool: &Pool, computation: Computation) -> Computed {
    let (sender, receiver) = mpsc::channel();
    pool.submit(computation, move |computed| sender.send(computed).unwrap());
    receiver.recv().unwrap()
}

/// The naive twin: one episode after the other, summed by the tree, on this thread.
fn expected(episodes: u64, range: EpisodeRange) -> Vec<Partial> {
    let mut reduction = Reduction::new(episodes, range);
    let work = StubWork(Arc::default());
    let mut thread = work.thread();
    thread.set_parameters(&theta());
    for episode in range.indices() {
        let mut gradient = vec![0.0; PARAMETERS];
        let seed = Seed::of_run(9).step(MetaStep(2)).episode(EpisodeIndex(episode));
        let reports = thread.meta_gradient(seed, &mut gradient).into();
        gradient.reverse();
        reduction.add(Partial { node: NodeId::leaf(episode), gradient, reports });
    }
    let mut partials = reduction.into_partials();
    partials.sort_by_key(|partial| partial.node.episodes(episodes).start);
    partials
}

#[test]
fn a_meta_step_occupies_no_more_threads_than_it_has_episodes_and_always_the_same() {
    let (pool, counts) = pool(4);
    for step in 0..200 {
        compute(&pool, computation(&theta(), step, 2, EpisodeRange::new(0, 2))).unwrap();
    }
    let occupied = lock(&counts.computed_by);
    assert!(occupied.iter().all(|name| ["compute-0", "compute-1"].contains(&&**name)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_range_has_the_same_bits_on_any_number_of_threads(
        threads in 1usize..4, episodes in 1u64..40, start in 0u64..40, length in 0u64..40
    ) {
        let start = start % episodes;
        let range = EpisodeRange::new(start, start + 1 + length % (episodes - start));
        let (pool, _) = pool(threads);
        // Behind it, threads may draw some of the next one's episodes ahead.
        compute(&pool, computation(&theta(), 1, episodes, range)).unwrap();
        let partials = compute(&pool, computation(&theta(), 2, episodes, range)).unwrap();
        let nodes: Vec<_> = partials.iter().map(|partial| partial.node).collect();
        prop_assert_eq!(nodes, subtrees(episodes, range));
        prop_assert_eq!(partials, expected(episodes, range));
    }
}

#[test]
fn a_thread_with_nothing_to_do_draws_an_episode_of_the_next_meta_step() {
    let (draws, drawn) = mpsc::channel();
    let (pool, counts) = pool_with(1, Counts { draws: Some(draws), ..Counts::default() });
    let range = EpisodeRange::new(3, 7);
    // Meta-step 2 is what was expected behind 1, and not behind itself.
    for (step, drawn_ahead) in [(1, 0), (2, 1), (2, 1)] {
        let partials = compute(&pool, computation(&theta(), step, 8, range)).unwrap();
        if step == 2 {
            assert_eq!(partials, expected(8, range));
        }
        assert_eq!(counts.drawn_ahead.load(Ordering::Relaxed), drawn_ahead);
        let next = Seed::of_run(9).step(MetaStep(step + 1)).episode(range.start);
        assert_eq!(drawn.recv_timeout(Duration::from_secs(60)), Ok(next));
    }
}

#[test]
fn a_version_is_set_once_a_thread_and_buffers_are_used_again() {
    let (pool, counts) = pool(1);
    let theta = theta();
    for step in 0..10 {
        let range = EpisodeRange::new(0, 8);
        let partials = compute(&pool, computation(&theta, step, 8, range)).unwrap();
        partials.into_iter().for_each(|partial| pool.recycle(partial.gradient));
    }
    assert_eq!(counts.versions.load(Ordering::Relaxed), 1);
    // A leaf under way, and one waiting on each of the three levels below the root.
    let spares = std::iter::from_fn(|| pool.shared.spares.take(theta.len()));
    assert!((1..=4).contains(&spares.count()));
}

#[test]
fn evaluations_are_those_of_the_run_and_do_not_depend_on_threads() {
    let evaluate = |threads: usize, split: Split, episodes: u64| {
        pool(threads).0.evaluate(&theta(), Seed::of_run(4), split, episodes).unwrap()
    };
    let reports = evaluate(1, Split::Test, 101);
    assert_eq!(evaluate(2, Split::Test, 101), reports);
    assert_eq!(evaluate(3, Split::Test, 101), reports);
    assert_eq!(ReportSums::of(&reports).episodes, 101);
    assert_ne!(evaluate(2, Split::Validation, 101), reports);
    assert_eq!(evaluate(2, Split::Test, 40), reports[..40], "the first ones of more");
    assert_eq!(evaluate(2, Split::Test, 0), []);
}

#[test]
fn an_evaluation_tells_how_many_episodes_are_done_and_has_the_same_bits() {
    let (pool, _) = pool(2);
    let (theta, seed) = (theta(), Seed::of_run(4));
    let mut done = Vec::new();
    let told = |episodes: u64| done.push(episodes);
    let reports = pool.evaluate_telling(&theta, seed, Split::Test, 40, told).unwrap();
    assert_eq!(done, (1..=40).collect::<Vec<u64>>());
    assert_eq!(pool.evaluate(&theta, seed, Split::Test, 40).unwrap(), reports);
}

#[test]
fn a_panic_is_an_error_and_hangs_nobody() {
    let panics_at = EpisodeIndex(5);
    let panic_on = Some(word(Seed::of_run(9).step(MetaStep(0)).episode(panics_at)));
    let (pool, _) = pool_with(3, Counts { panic_on, ..Counts::default() });
    let range = EpisodeRange::new(0, 16);
    let error = compute(&pool, computation(&theta(), 0, 16, range)).unwrap_err();
    assert!(matches!(&error, ComputeError::Panicked { episode: 5, .. }), "{error:?}");
    assert!(error.to_string().contains("no such gradient"), "{error}");
    assert_eq!(compute(&pool, computation(&theta(), 1, 16, range)).unwrap_err(), error);
}

#[test]
fn what_waits_is_told_when_it_is_abandoned() {
    let (reached, at_the_gate) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let gate = Mutex::new(Some(Gate { reached, opened }));
    let (pool, counts) = pool_with(1, Counts { gate, ..Counts::default() });
    let (sender, receiver) = mpsc::channel();
    for step in 0..50 {
        let sender = sender.clone();
        let range = EpisodeRange::new(0, 64);
        pool.submit(computation(&theta(), step, 64, range), move |computed| {
            sender.send(computed).unwrap();
        });
    }
    at_the_gate.recv().unwrap();
    pool.abandon();
    let told: Vec<Computed> = receiver.try_iter().collect();
    drop(open);
    assert_eq!(told.len(), 50, "while the thread is at the first one's first episode");
    assert!(told.iter().all(|computed| *computed == Err(ComputeError::Abandoned)), "{told:?}");

    let range = EpisodeRange::new(0, 4);
    let partials = compute(&pool, computation(&theta(), 2, 4, range)).unwrap();
    assert_eq!(partials, expected(4, range));
    assert_eq!(counts.gradients.load(Ordering::Relaxed), 1 + 4, "no others are computed");
    drop(sender);
    assert_eq!(receiver.try_iter().count(), 0, "each is told once");
}

#[test]
fn parameters_of_another_length_are_refused() {
    let (pool, _) = pool(1);
    let short = Arc::new(vec![1.0]);
    let error = compute(&pool, computation(&short, 0, 4, EpisodeRange::new(0, 4))).unwrap_err();
    assert_eq!(error, ComputeError::WrongLength { expected: PARAMETERS, found: 1 });
}
