//! Integration tests: real services and processes on localhost, a module a promise.

mod command;
mod farm;
mod processes;
mod protocols;
