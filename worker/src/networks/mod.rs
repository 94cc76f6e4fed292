//! Networks: compositions of layers, from a configuration; and the order that their parameters are computed in.

mod conv4;
mod linear;
mod mlp;
mod relation;

use lyceum_common::config::{NetworkConfig, Precision, Shape};
use lyceum_common::layout::{Entry, Layout};
use lyceum_common::model::{Head, ModelError, encoder_map, network_layout};

use crate::kernels::{Real, panels};
use crate::layers::{Feature, Layer};
use crate::ops::Planner;
use conv4::Images;

/// A network on examples of one shape: an encoder, and a head where there is a linear one.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    config: NetworkConfig,
    shape: Shape,
    head: Head,
    layout: Layout,
    precision: Precision,
}

/// What a network is planned into, and which of its parameters move in the inner loop.
pub(crate) struct Plan<'p, T> {
    pub(crate) planner: &'p mut Planner,
    pub(crate) examples: usize,
    /// Problems side by side: one, or as many as there are lanes.
    pub(crate) abreast: usize,
    pub(crate) adapted: std::ops::Range<usize>,
    /// What convolutions multiply.
    pub(crate) precision: Precision,
    pub(crate) layers: Vec<Box<dyn Layer<T>>>,
}

impl<T: Real> Plan<'_, T> {
    /// Whether the parameter at `offset` of the flat vector moves.
    fn moves(&self, offset: usize) -> bool {
        self.adapted.contains(&offset)
    }
}

impl Network {
    /// A network and its parameters' layout.
    ///
    /// # Errors
    /// Where the network cannot read such examples.
    pub(crate) fn new(
        config: &NetworkConfig,
        shape: Shape,
        head: Head,
    ) -> Result<Self, ModelError> {
        let layout = network_layout(config, shape, head)?;
        let precision = Precision::Float32;
        Ok(Self { config: config.clone(), shape, head, layout, precision })
    }

    /// The same, multiplying such numbers.
    pub(crate) fn in_precision(&self, precision: Precision) -> Self {
        Self { precision, ..self.clone() }
    }

    /// What it multiplies.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// The same without what stands behind its features.
    ///
    /// # Errors
    /// Where it has no encoder.
    pub(crate) fn encoder(&self) -> Result<Self, ModelError> {
        Ok(Self::new(&self.config, self.shape, Head::Features)?.in_precision(self.precision))
    }

    /// Names and shapes of its parameters, as PyTorch has them.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many numbers an example has.
    pub(crate) fn input_len(&self) -> usize {
        self.shape.len()
    }

    /// The head: the last linear layer's weight and bias, at the end of the flat vector.
    pub(crate) fn head(&self) -> std::ops::Range<usize> {
        let entries = self.layout.entries();
        let weight = &entries[entries.len() - 2];
        weight.offset..self.layout.len()
    }

    /// Appends the network's layers, from the inputs to the linear head's outputs; to the features where there is none.
    pub(crate) fn plan<T: Real>(&self, plan: &mut Plan<'_, T>, input: Feature) -> Feature {
        match (&self.config, self.shape) {
            (NetworkConfig::Conv4(conv4), Shape::Image { height, width, channels }) => {
                let images = Images { count: plan.examples, height, width, channels };
                conv4::plan(conv4, images, self.head, plan, input)
            }
            (NetworkConfig::Conv4(_), Shape::Vector { .. }) => {
                unreachable!("a convolution's layout is made for images alone")
            }
            (NetworkConfig::Mlp(mlp), _) => mlp::plan(mlp, &self.layout, plan, input),
            (NetworkConfig::Linear(_), _) => {
                let Head::Linear(outputs) = self.head else {
                    unreachable!("a linear map's layout is made for its outputs alone")
                };
                linear::plan(outputs, plan, input)
            }
        }
    }

    /// Appends a relation module on `count` pairs of maps that the encoder makes: every row's with every column's, row by row.
    pub(crate) fn plan_relation<T: Real>(
        &self,
        plan: &mut Plan<'_, T>,
        count: usize,
        [columns, rows]: [Feature; 2],
    ) -> Feature {
        let NetworkConfig::Conv4(conv4) = &self.config else {
            unreachable!("a relation module's layout is made for maps alone")
        };
        let [height, width, channels] =
            encoder_map(conv4, self.shape).expect("the layout was made for these maps");
        let maps = Images { count, height, width, channels };
        relation::plan(maps, conv4.filters, plan, [columns, rows])
    }

    /// For each place of a vector of this layout that the worker computes with, its place in the layout. The network's
    /// convolution weights `[out, in, 3, 3]` are computed with as `[3, 3, in, out]`, linear ones `[out, in]` as
    /// `[in, out]`, both in panels of outputs; a flattened map is channels last. What a learner adds for each number of one of
    /// these lies as it does; all else as in the layout.
    pub(crate) fn order(&self, layout: &Layout) -> Vec<u32> {
        let mut order = Vec::with_capacity(layout.len());
        for entry in layout.entries() {
            let at = |place: usize| crate::kernels::offset(entry.offset + place);
            let Some(own) = self.counterpart(entry) else {
                let weight = entry.name.strip_suffix(".curvature_in");
                let weight = weight.and_then(|weight| self.layout.get(weight));
                let inputs = weight.map_or(Axis::Plain, |weight| self.axes(weight).1);
                // A matrix of inputs, or whatever is no matrix.
                let extent = entry.shape.first().copied().unwrap_or(1);
                let places = 0..entry.len();
                order.extend(places.map(|place| {
                    at(inputs.own(place / extent) * extent + inputs.own(place % extent))
                }));
                continue;
            };
            let (outputs, inputs) = self.axes(own);
            match *own.shape {
                [out, input, rows, columns] => {
                    let taps = rows * columns;
                    order.extend(panels(taps * input, out).map(|place| {
                        let (tap, i, o) = (place / out / input, place / out % input, place % out);
                        at((o * input + i) * taps + tap)
                    }));
                }
                [out, input] => {
                    order.extend(panels(input, out).map(|place| {
                        at(outputs.own(place % out) * input + inputs.own(place / out))
                    }))
                }
                _ => order.extend((0..entry.len()).map(|place| at(outputs.own(place)))),
            }
        }
        order
    }

    /// The network's own entry that `entry` is, or that it has a number for each number of: `rate.head.weight` for
    /// `head.weight`.
    fn counterpart(&self, entry: &Entry) -> Option<&Entry> {
        self.layout.entries().iter().find(|own| {
            let prefix = entry.name.strip_suffix(&*own.name);
            own.shape == entry.shape && prefix.is_some_and(|p| p.is_empty() || p.ends_with('.'))
        })
    }

    /// What the outputs and the inputs of a parameter of the network go over.
    fn axes(&self, own: &Entry) -> (Axis, Axis) {
        let map =
            |extent: usize, channels: usize| Axis::Map { places: extent / channels, channels };
        match (&self.config, self.shape, &*own.name, &*own.shape) {
            (
                NetworkConfig::Conv4(conv4),
                _,
                "head.weight" | "relation.fc.0.weight",
                [_, input],
            ) => (Axis::Plain, map(*input, conv4.filters)),
            // Each number of an embedding has its own in its full context, and four gates.
            (NetworkConfig::Conv4(conv4), _, name, [gates, ..]) if name.starts_with("context.") => {
                let map = map(gates / 4, conv4.filters);
                (map, map)
            }
            (
                NetworkConfig::Mlp(_),
                Shape::Image { channels, .. },
                "layers.0.weight",
                [_, input],
            ) => (Axis::Plain, map(*input, channels)),
            _ => (Axis::Plain, Axis::Plain),
        }
    }
}

/// What an axis of a parameter goes over.
#[derive(Clone, Copy)]
enum Axis {
    Plain,
    /// A flattened map, or several, one behind the other.
    Map {
        places: usize,
        channels: usize,
    },
}

impl Axis {
    /// The place in the layout, where a map's channels come first, of what the worker, with channels last, has at `at`.
    fn own(self, at: usize) -> usize {
        let Self::Map { places, channels } = self else { return at };
        let (map, at) = (at / (places * channels), at % (places * channels));
        (map * channels + at % channels) * places + at / channels
    }
}

#[cfg(test)]
mod tests {
    use lyceum_common::config::{
        Conv4Config, Definition as _, Downsample, Features, MetaCurvatureConfig,
    };

    use super::*;

    #[test]
    fn matrices_of_inputs_follow_the_inputs() {
        let (downsample, features) = (Downsample::Stride, Features::Flatten);
        let conv4 = NetworkConfig::Conv4(Conv4Config { filters: 3, downsample, features });
        let shape = Shape::Image { height: 33, width: 33, channels: 1 };
        let network = Network::new(&conv4, shape, Head::Linear(2)).unwrap();
        let config = MetaCurvatureConfig { inner_rate: 0.1, inner_steps: 1, evaluation_steps: 1 };
        let layout = config.layout(network.layout());
        let order = network.order(&layout);
        let mut places = order.clone();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..layout.len() as u32), "each place once");

        let of = |name: &str| layout.get(name).unwrap().range();
        let (weight, matrix) = (of("head.weight"), of("head.weight.curvature_in"));
        let inputs = weight.len() / 2;
        assert!(inputs > 3, "the map has several places");
        // The worker's inputs in the layout's order, told by the first output's weights.
        let input = |i: usize| (order[weight.start + 2 * i] as usize - weight.start) % inputs;
        for place in 0..matrix.len() {
            let (row, column) = (place / inputs, place % inputs);
            let expected = matrix.start + input(row) * inputs + input(column);
            assert_eq!(order[matrix.start + place] as usize, expected, "{row}, {column}");
        }
    }

    #[test]
    fn full_contexts_gates_and_inputs_follow_the_embedding() {
        let (downsample, features) = (Downsample::Stride, Features::Flatten);
        let conv4 = NetworkConfig::Conv4(Conv4Config { filters: 3, downsample, features });
        let shape = Shape::Image { height: 33, width: 33, channels: 1 };
        let network = Network::new(&conv4, shape, Head::FullContext).unwrap();
        let order = network.order(network.layout());
        let mut places = order.clone();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..network.layout().len() as u32), "each place once");

        let entry = |name: &str| network.layout().get(name).unwrap();
        let (weight, bias) = (entry("context.forward.weight"), entry("context.forward.bias"));
        let (gates, inputs) = (weight.shape[0], weight.shape[1]);
        let numbers = gates / 4;
        assert!(numbers > 3, "the map has several places");
        // The worker has the map's three channels side by side; the layout, each channel's places.
        let own = |at: usize| at % 3 * (numbers / 3) + at / 3;
        let of_several = |at: usize| at / numbers * numbers + own(at % numbers);
        for gate in 0..gates {
            assert_eq!(order[bias.offset + gate] as usize, bias.offset + of_several(gate));
        }
        let mut seen = order[weight.range()].iter();
        for place in panels(inputs, gates) {
            let (input, gate) = (place / gates, place % gates);
            let expected = weight.offset + of_several(gate) * inputs + of_several(input);
            assert_eq!(*seen.next().unwrap() as usize, expected, "{gate}, {input}");
        }
    }
}
