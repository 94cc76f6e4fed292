//! Trained models: frozen episodes, Lake's runs, other data sets, the report, images of one's own.

mod adapt;
mod lake;
mod lists;
mod made;
mod report;
