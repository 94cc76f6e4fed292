//! `lyceum data`: prepares a run's data set, and says what it is.

use lyceum_common::config::Shape;
use lyceum_common::ids::Split;
use lyceum_common::pack::{Pack, path_in};
use serde_json::json;

use crate::output::print;
use crate::place::{Cache, Configuration};
use crate::serve::check_place;
use crate::words::{self, counted};

/// Prepares the data pack that `train` draws from, in the same cache, and prints what it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Data {
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    cache: Cache,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

impl Data {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let config = self.configuration.load()?;
        check_place(&config)?;
        let kind = config.data.kind();
        let Some(pack) = self.cache.pack(&config)? else {
            if self.json {
                return print(&json!({ "data": kind, "digest": null }).to_string());
            }
            return print(&format!("data.{kind} is made up on the way: nothing is to be prepared"));
        };
        let digest = pack.digest();
        let file = path_in(&self.cache.folder(), digest);
        if self.json {
            let splits = Split::ALL.map(|split| (split.to_string(), counts(&pack, split)));
            let object = json!({
                "data": kind,
                "digest": digest.to_string(),
                "file": file.display().to_string(),
                "bytes": pack.bytes().len(),
                "example": extents(pack.shape()),
                "splits": splits.into_iter().collect::<serde_json::Map<_, _>>(),
                "rotations": config.data.rotations(),
            });
            return print(&object.to_string());
        }
        let row = |name: &str, value: &str| format!("{name:<12} {value}");
        let mut rows = vec![
            row("data", kind),
            row("digest", &digest.to_string()),
            row("file", &file.display().to_string()),
            row("bytes", &pack.bytes().len().to_string()),
            row("images", &words::shape(pack.shape())),
        ];
        rows.extend(Split::ALL.map(|split| row(&split.to_string(), &classes(&pack, split))));
        if config.data.rotations() {
            rows.push(row("rotations", "each class counts four times, turned by quarters"));
        }
        print(&rows.join("\n"))
    }
}

/// Rows, columns and channels of an image, or a vector's length.
fn extents(shape: Shape) -> Vec<usize> {
    match shape {
        Shape::Image { height, width, channels } => vec![height, width, channels],
        Shape::Vector { length } => vec![length],
    }
}

/// How many classes and images a split has.
fn counts(pack: &Pack, split: Split) -> serde_json::Value {
    let classes = pack.classes(split);
    let images: u64 = classes.iter().map(|class| u64::from(class.images())).sum();
    json!({ "classes": classes.len(), "images": images })
}

/// How many classes a split has, and how many images.
fn classes(pack: &Pack, split: Split) -> String {
    let classes = pack.classes(split);
    let images = || classes.iter().map(|class| u64::from(class.images()));
    let each = match (images().min(), images().max()) {
        (Some(least), Some(most)) if least == most => format!(", {least} a class"),
        (Some(least), Some(most)) => format!(", {least} to {most} a class"),
        _ => String::new(),
    };
    let classes = counted(classes.len() as u64, "class", "classes");
    format!("{classes}, {}{each}", counted(images().sum::<u64>(), "image", "images"))
}
