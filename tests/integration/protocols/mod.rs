//! Evaluation protocols: frozen episodes.

mod lists;
mod made;
