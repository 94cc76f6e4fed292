//! Integration tests: real services and processes on localhost, a module a promise.

mod command;
mod endings;
mod farm;
mod processes;
mod protocols;
