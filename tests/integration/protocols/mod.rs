//! Evaluation protocols: frozen episodes, Lake's runs, other data sets.

mod lake;
mod lists;
mod made;
