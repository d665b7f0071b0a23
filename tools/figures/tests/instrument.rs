//! What the build script does to a program. Its own tests run here, since a build script has no place for any.

#[path = "../build/instrument.rs"]
mod instrument;
