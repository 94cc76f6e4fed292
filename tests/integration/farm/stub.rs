//! A learning problem that takes no time: a gradient drawn from the episode's seed, and pulled towards zero.

use std::sync::Arc;

use lyceum_common::ids::Split;
use lyceum_common::report::EpisodeReport;
use lyceum_common::seed::{OfEpisode, Purpose, Seed};
use lyceum_worker::work::{Work, WorkThread};

/// What is called at every training episode.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

pub(crate) struct Stub {
    pub(crate) parameters: usize,
    pub(crate) hook: Hook,
}

struct StubThread {
    theta: Vec<f32>,
    hook: Hook,
}

/// The formula, for foreign workers to follow: `words` are the first four of the stream `images`.
pub(crate) fn gradient(theta: &[f32], words: [u32; 4], gradient: &mut [f32]) {
    for (i, (gradient, theta)) in gradient.iter_mut().zip(theta).enumerate() {
        *gradient = 0.1 * theta + (words[i % 4] >> 8) as f32 / 16_777_216.0 - 0.5;
    }
}

fn report(words: [u32; 4]) -> EpisodeReport {
    EpisodeReport { loss: loss(words), accuracy: 0.5 }
}

pub(crate) fn loss(words: [u32; 4]) -> f64 {
    f64::from(words[0]) / f64::from(u32::MAX)
}

fn words(seed: Seed<OfEpisode>) -> [u32; 4] {
    let mut stream = seed.stream(Purpose::Images);
    [0; 4].map(|_| stream.bits())
}

impl Work for Stub {
    fn parameters(&self) -> usize {
        self.parameters
    }

    fn thread(&self) -> Box<dyn WorkThread> {
        Box::new(StubThread { theta: Vec::new(), hook: Arc::clone(&self.hook) })
    }
}

impl WorkThread for StubThread {
    fn set_parameters(&mut self, theta: &[f32]) {
        self.theta = theta.to_vec();
    }

    fn meta_gradient(&mut self, seed: Seed<OfEpisode>, out: &mut [f32]) -> EpisodeReport {
        (self.hook)();
        let words = words(seed);
        gradient(&self.theta, words, out);
        report(words)
    }

    fn evaluate(&mut self, seed: Seed<OfEpisode>, _: Split) -> EpisodeReport {
        report(words(seed))
    }
}
