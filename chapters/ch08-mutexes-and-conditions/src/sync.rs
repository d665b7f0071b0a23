//! What threads meet at. Everything that two threads touch at once is made of these, so that a model
//! checker can put its own in their place.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
