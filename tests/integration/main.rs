//! Integration tests: real services and processes on localhost, a module a promise.

mod farm;
mod processes;
