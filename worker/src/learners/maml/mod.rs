//! Model-agnostic meta-learning, exact and first-order (Finn et al. 2017, algorithm 2), and ANIL (Raghu et al. 2020),
//! whose inner loop changes the head alone; with the switches of MAML++ (Antoniou et al. 2019) and Proto-MAML
//! (Triantafillou et al. 2020).
//!
//! With φ₀ = θ and g the support set's gradient, φₖ₊₁ = φₖ − αₖ ∘ g(φₖ); the loss is the query set's at φ_K, or a sum of
//! it over several φₖ. The switches change what θ holds beside the network's parameters, each in a file of its own:
//! αₖ (`rates`), batch norm's γₖ and βₖ (`norms`), which φₖ count (`multi_step`), and how the head begins (`prototypes`).

mod multi_step;
mod norms;
mod prototypes;
mod rates;

use lyceum_common::config::{Definition as _, InitialHead, MamlConfig, MultiStepLoss, Order};
use lyceum_common::seed::{OfEpisode, Seed};

use super::stage::StageFrames;
use super::{Learner, Setting, Stage, running};
use crate::episodes::{Batch, Episode};
use crate::kernels::Real;
use crate::kernels::pointwise::clip;
use crate::objective::{Frame, Objective, TangentPlane};
use crate::ops::From;
use crate::profile::Share;
use crate::reports::Reports;
use crate::trajectory::Trajectory;
use norms::StepNorms;
use prototypes::PrototypeHead;
use rates::InnerRates;

/// MAML with K inner steps at the rates α.
pub(super) struct Maml<T> {
    training: Stage<T>,
    evaluation: Stage<T>,
    rates: InnerRates<T>,
    /// α, where φₖ₊₁ = φₖ − α g(φₖ) and no more.
    plain_rate: Option<T>,
    norms: StepNorms,
    multi_step_loss: Option<MultiStepLoss>,
    /// Of training and of evaluation.
    heads: Option<[PrototypeHead<T>; 2]>,
    clip: Option<T>,
    order: Order,
    first_order_meta_steps: u64,
    /// How many numbers the network's parameters are, and how many of them are meta-parameters: all but a head that is
    /// given.
    network: usize,
    learned: usize,
    /// Whether these are all meta-parameters, and all of the network's.
    is_whole: bool,
    /// Episodes that are computed side by side.
    abreast: usize,
    kept_bytes: usize,
}

/// One thread's frames and vectors.
pub(super) struct Scratch<T> {
    trajectory: Trajectory<T>,
    query: Frame<T>,
    /// The query set at φ₁ … φ_K₋₁, where these count.
    earlier_query: Option<Frame<T>>,
    tangents: TangentPlane<T>,
    /// λ, where there are meta-parameters beside the network's, or fewer.
    lambda: Option<Vec<T>>,
    /// The inner gradient as it is applied, where it is clipped.
    clipped: Vec<T>,
    /// φₖ in evaluation.
    phi: Vec<T>,
    evaluation: StageFrames<T>,
    /// Where prototypes are taken, of training and of evaluation.
    heads: Option<[Frame<T>; 2]>,
    /// Every batch norm's (μ, r), one behind the other, where running statistics are kept.
    statistics: Vec<T>,
}

impl<T: Real> Maml<T> {
    pub(super) fn new(config: &MamlConfig, setting: &Setting<'_>) -> Self {
        let layout = setting.network.layout();
        let rates = InnerRates::new(config, layout, setting.abreast);
        let steps = (config.inner_steps, config.evaluation_steps);
        let curved = if config.order == Order::Second { rates.adapted() } else { 0..0 };
        let (training, evaluation) = Stage::both(setting, steps, &curved);
        let given = config.initial_head == InitialHead::Prototypes;
        let network = layout.len() * setting.abreast;
        Self {
            training,
            evaluation,
            plain_rate: rates.of_all(network).filter(|_| config.inner_clip.is_none()),
            rates,
            norms: StepNorms::new(config, layout),
            multi_step_loss: config.multi_step_loss,
            heads: given.then(|| {
                [
                    PrototypeHead::new(setting, setting.network, setting.training),
                    PrototypeHead::new(setting, &setting.evaluated_network(), setting.evaluation),
                ]
            }),
            clip: config.inner_clip.map(|clip| T::from_f64(f64::from(clip.value))),
            order: config.order,
            first_order_meta_steps: config.first_order_meta_steps,
            network,
            is_whole: !given && config.layout(layout).len() == layout.len(),
            learned: setting.abreast
                * if given { setting.network.head().start } else { layout.len() },
            abreast: setting.abreast,
            kept_bytes: setting.kept_bytes,
        }
    }

    /// φ₀ of θ, which episodes side by side have in common: the same, but for a head that the support set gives.
    fn begin(&self, theta: &[T], support: &Batch, head: Option<Head<'_, T>>, phi: &mut [T]) {
        let learned = self.learned / self.abreast;
        phi[..learned].copy_from_slice(&theta[..learned]);
        if let Some((head, frame)) = head {
            head.begin(support, frame, phi);
        }
    }

    /// g as it is applied: clipped where asked.
    fn applied<'g>(&self, g: &'g [T], clipped: &'g mut [T]) -> &'g [T] {
        let Some(bound) = self.clip else { return g };
        clipped.copy_from_slice(g);
        clip(self.training.support.instruction_set(), bound, clipped);
        clipped
    }

    /// v = αₖ ∘ λ; zero where the clipped gradient g does not depend on φ.
    fn direct(&self, at: (usize, &[T]), lambda: &[T], g: &[T], v: &mut [T]) {
        self.rates.direct(self.training.support.instruction_set(), at, lambda, v);
        if let Some(bound) = self.clip {
            for (v, &g) in v.iter_mut().zip(g) {
                if g >= bound || g <= -bound {
                    *v = T::ZERO;
                }
            }
        }
    }
}

/// A head that the support set gives, and where it is computed.
type Head<'h, T> = (&'h PrototypeHead<T>, &'h mut Frame<T>);

impl<T: Real> Learner<T> for Maml<T> {
    type Scratch = Scratch<T>;

    fn scratch(&self) -> Scratch<T> {
        let Stage { support, query, steps, .. } = &self.training;
        let goes_back = self.order == Order::Second || self.rates.are_learned();
        let kept_bytes = if goes_back { self.kept_bytes } else { 0 };
        Scratch {
            trajectory: Trajectory::new(support, *steps, kept_bytes),
            query: query.frame(),
            earlier_query: self.multi_step_loss.map(|_| query.frame()),
            tangents: support.tangent_plane(),
            lambda: (!self.is_whole).then(|| vec![T::ZERO; self.network]),
            clipped: vec![T::ZERO; if self.clip.is_some() { self.network } else { 0 }],
            phi: vec![T::ZERO; self.network],
            evaluation: self.evaluation.frames(),
            heads: self.heads.as_ref().map(|heads| heads.each_ref().map(PrototypeHead::frame)),
            statistics: vec![T::ZERO; self.norms.statistics()],
        }
    }

    fn meta_gradient(
        &self,
        theta: &[T],
        episode: &Episode,
        seed: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
        out: &mut [T],
    ) -> Reports {
        let Stage { support, query, steps, .. } = &self.training;
        let Scratch { trajectory, tangents, lambda, clipped, .. } = scratch;
        let set = support.instruction_set();
        let mut head = match (&self.heads, &mut scratch.heads) {
            (Some([head, _]), Some([frame, _])) => Some((head, frame)),
            _ => None,
        };
        out[self.learned..].fill(T::ZERO);
        // λ is all of the meta-gradient, or the part of it that is the network's.
        let (lambda, out) = match lambda {
            Some(lambda) => (&mut lambda[..], out),
            None => (out, &mut [][..]),
        };
        trajectory.start(support, &episode.support, |phi| {
            self.begin(theta, &episode.support, head.as_mut().map(|(h, f)| (*h, &mut **f)), phi);
        });
        for k in 0..*steps {
            // φₖ₊₁ = φₖ − αₖ ∘ g(φₖ)
            let end = query.parameters_mut(&mut scratch.query);
            let frame = match self.plain_rate {
                Some(alpha) => trajectory.descend(support, k, alpha, end),
                None => trajectory.advance(support, k, end, |g, phi, next| {
                    self.rates.descend(set, (k, theta), self.applied(g, clipped), (phi, next));
                    self.norms.enter(k + 1, theta, next);
                }),
            };
            self.norms.change(k, support.statistics_of(frame), theta, out);
        }

        // λ_K = v_K ∇L(φ_K), on the query set
        let share = |k| multi_step::share(self.multi_step_loss, (k, *steps), seed.meta_step());
        query.load(&mut scratch.query, &episode.query);
        query.step(&mut scratch.query, From::Zero, T::from_f64(share(*steps)), lambda);
        let frame = &scratch.query;
        self.norms.change(*steps, query.statistics_of(frame), theta, out);
        self.norms.leave(*steps, lambda, out);
        let mut reports = query.report(frame).of_share(share(*steps));
        let mut earlier = scratch.earlier_query.as_mut().filter(|_| share(1) > 0.0 && *steps > 1);
        if let Some(frame) = &mut earlier {
            query.load(frame, &episode.query);
        }
        let is_exact =
            self.order == Order::Second && seed.meta_step().0 >= self.first_order_meta_steps;
        for k in (0..*steps).rev() {
            if is_exact || self.rates.are_learned() {
                let values = trajectory.revisit(support, k);
                let g = support.gradient_of(values);
                self.rates.differentiate(k, self.applied(g, clipped), lambda, out);
                if is_exact {
                    // λₖ = λₖ₊₁ − H(φₖ) (αₖ ∘ λₖ₊₁)
                    self.direct((k, theta), lambda, g, support.direction(tangents));
                    support.step_along_product(values, tangents, -T::ONE, lambda);
                }
            }
            if let Some(frame) = earlier.as_mut().filter(|_| k > 0) {
                // … + vₖ ∇L(φₖ)
                query.set_parameters(frame, trajectory.theta(support, k));
                query.step(frame, From::There, T::from_f64(share(k)), lambda);
                reports.add_loss(share(k), &query.report(frame));
            }
            self.norms.leave(k, lambda, out);
        }
        if let Some((head, frame)) = head {
            head.differentiate(frame, lambda);
        }
        if !out.is_empty() {
            out[..self.learned].copy_from_slice(&lambda[..self.learned]);
        }
        reports
    }

    fn evaluate(
        &self,
        theta: &[T],
        episode: &Episode,
        _: Seed<OfEpisode>,
        scratch: &mut Scratch<T>,
    ) -> Reports {
        let Scratch { evaluation: frames, phi, clipped, heads, statistics, .. } = scratch;
        let set = self.evaluation.support.instruction_set();
        let head = match (&self.heads, heads) {
            (Some([_, head]), Some([_, frame])) => Some((head, frame)),
            _ => None,
        };
        self.begin(theta, &episode.support, head, &mut phi[..self.network / self.abreast]);
        let phi = self.evaluation.adapt(episode, frames, phi, |k, g, phi, next| {
            self.rates.descend(set, (k, theta), self.applied(g, clipped), (phi, next));
            self.norms.enter(k + 1, theta, next);
        });
        let Stage { query, steps, .. } = &self.evaluation;
        match self.norms.running(*steps, theta) {
            Some(running) if !self.evaluation.transductive => {
                running::statistics(query.by_norm(running), statistics);
                query.load(&mut frames.query, &episode.query);
                query.set_parameters(&mut frames.query, phi);
                query.predict_inductively(&mut frames.query, query.by_norm(statistics));
                query.report(&frames.query)
            }
            _ => self.evaluation.predict(phi, episode, frames),
        }
    }

    fn outputs<'s>(&self, scratch: &'s Scratch<T>) -> &'s [T] {
        self.training.query.outputs_of(&scratch.query)
    }

    fn evaluated<'s>(&'s self, scratch: &'s Scratch<T>) -> (&'s Objective<T>, &'s Frame<T>) {
        (&self.evaluation.query, &scratch.evaluation.query)
    }

    fn products(&self) -> usize {
        let (gradient, hessian) = self.training.support.products();
        let second = if self.order == Order::Second { hessian } else { 0 };
        let steps = self.training.steps;
        let queries = if self.multi_step_loss.is_some() { steps } else { 1 };
        steps * (gradient + second) + queries * self.training.query.products().0
    }

    fn shares(&self) -> Vec<Share<'_, T>> {
        self.training.shares(usize::from(self.order == Order::Second))
    }
}
