//! Lake's 20 runs as a list of episodes.

use std::sync::Arc;

use lyceum_common::data::LAKE_WAYS;
use lyceum_common::ids::Split;

use super::{EpisodeList, EpisodeSize, FewShotSource, ListProblem, ListedSource, ListedWay};

/// The runs in their order, each a 20-way one-shot episode with one query image a class. `data` draws from the pack of
/// [`lyceum_common::data::lake_runs()`].
///
/// # Errors
/// Where that is another pack.
pub fn lake_runs(data: FewShotSource) -> Result<ListedSource, ListProblem> {
    let size = EpisodeSize { ways: LAKE_WAYS, shots: 1, queries: 1 };
    let ways = LAKE_WAYS as u32;
    let classes = data.pack().classes(Split::Test).len() as u32;
    let way = |class| ListedWay { class, quarters: 0, images: vec![0, 1] };
    let first = (0..classes).step_by(LAKE_WAYS);
    let episodes = first.map(|first| (first..first + ways).map(way).collect()).collect();
    let list = EpisodeList::new(&data, Split::Test, size, episodes);
    ListedSource::new(data, Arc::new(list))
}
