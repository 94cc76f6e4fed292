//! The farm's rules on a virtual clock, over scripted workers.

mod orders;
mod rules;
mod stuck;
mod world;
