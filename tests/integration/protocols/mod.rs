//! Evaluation protocols: frozen episodes, Lake's runs, other data sets, the report.

mod lake;
mod lists;
mod made;
mod report;
