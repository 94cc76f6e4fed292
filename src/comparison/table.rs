//! A comparison of optimizers as a table.

use lyceum_common::report::Estimate;

use super::Results;
use crate::words::{estimate, number};

/// What is easily taken for something else: training reports another loss than its validations and its test.
const LOSS_AT_THE_END: &str = "the loss at the end is the one after the last step, as in a run's validations and its test; what a run reports in training is the mean over the steps\n";

/// A line an optimizer, then what was compared.
pub(super) fn table(results: &Results) -> String {
    let row = |optimizer: &str, rate: &str, loss: &str, above: &str, p: &str| {
        let row = format!("{optimizer:<10} {rate:>10} {loss:>22} {above:>24} {p:>10}");
        row.trim_end().to_owned() + "\n"
    };
    let mut text =
        row("optimizer", "rate", "loss at the end", "above the learned one's", "paired p");
    for line in &results.optimizers {
        let rate = line.rate.map_or("-".to_owned(), |rate| number(rate, 3));
        let mut loss = estimate(line.loss());
        if line.diverged > 0 {
            loss += &format!(" ({} diverged)", line.diverged);
        }
        let (above, p) = line.above_learned.as_ref().map_or_else(Default::default, |above| {
            let (mean, interval) = (above.difference, above.difference_interval);
            (estimate(Estimate { mean, interval }), number(above.p, 2))
        });
        text += &row(&line.optimizer, &rate, &loss, &above, &p);
    }
    if let Some(advantage) = results.advantage {
        text += &format!(
            "the best hand-made optimizer's loss is {advantage:.2} times the learned one's\n"
        );
    }
    text += LOSS_AT_THE_END;
    text += &about(results);
    text
}

/// What was compared, and where the results are.
fn about(results: &Results) -> String {
    let Results { data, split, steps, episodes, search_episodes, .. } = results;
    let model = results.origin.as_ref().map(|origin| format!("model {origin}\n"));
    let out = results.out.as_ref().map(|out| format!("\nwritten to {out}"));
    format!(
        "data {data}, {split} split\n{steps} steps, {episodes} optimizees; rates searched on {search_episodes} others\n{}parameters {}\nrun {}{}",
        model.unwrap_or_default(),
        results.digest,
        results.run,
        out.unwrap_or_default()
    )
}
