//! What a person sees while a model is evaluated: a bar on a terminal, and nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// A bar of so many `things`, on standard error; it is gone when it is dropped.
pub(crate) fn progress_bar(length: u64, things: &str) -> ProgressBar {
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(Some(length), target);
    let template = format!("{{bar:30}} {{pos}}/{{len}} {things} · {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.with_finish(ProgressFinish::AndClear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_goes_as_far_as_its_length() {
        let bar = progress_bar(40, "episodes");
        bar.set_position(39);
        bar.inc(1);
        assert_eq!((bar.position(), bar.length()), (40, Some(40)));
        assert!(!bar.is_finished(), "it is cleared when it is dropped");
    }
}
