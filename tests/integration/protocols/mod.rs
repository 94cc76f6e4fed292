//! Trained models: frozen episodes, Lake's runs, other data sets, the report, images of one's own; what they were trained
//! on, which parameters they are, as one file, and had again.

mod adapt;
mod data;
mod export;
mod initialisation;
mod kept;
mod lake;
mod lists;
mod made;
mod origin;
mod other_data;
mod outputs;
mod places;
mod replay;
mod report;
