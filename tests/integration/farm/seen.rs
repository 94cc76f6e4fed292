//! What whoever looks at a run is told, and in which order.

use lyceum_common::ids::Split;
use lyceum_coordinator::observation::Observation;

use super::support::{Coordinator, config, worker};

fn name(observation: &Observation) -> &'static str {
    match observation {
        Observation::Joined(..) | Observation::Left(_) => "worker",
        Observation::Progress(..) => "step",
        Observation::Evaluation(it) if it.split == Split::Test => "testing",
        Observation::Evaluation(_) => "validating",
        Observation::Report(report, _) => report.kind.name(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_is_seen_after_what_came_before_it_and_until_its_report() {
    let mut coordinator = Coordinator::start(config(&[])).await;
    let worker = worker(&coordinator, "w", 1);
    let (mut names, mut seconds, mut answered) = (Vec::new(), Vec::new(), 0);
    while let Some(observation) = coordinator.seen.recv().await {
        names.push(name(&observation));
        match observation {
            Observation::Progress(_, timing) | Observation::Report(_, timing) => {
                seconds.push(timing.seconds);
            }
            Observation::Evaluation(it) => {
                assert!(it.answered <= it.episodes, "{it:?}");
                answered = it.answered.max(answered);
            }
            Observation::Joined(..) | Observation::Left(_) => {}
        }
    }
    names.dedup();
    assert_eq!(
        names,
        [
            &["worker", "step", "validating", "validation"][..],
            &["step", "validating", "validation"],
            &["step", "training", "validating", "validation"],
            &["testing", "test"],
        ]
        .concat()
    );
    assert!(answered > 0, "how far it is was seen");
    assert!(seconds.is_sorted(), "{seconds:?}");
    worker.await.unwrap().unwrap();
}
