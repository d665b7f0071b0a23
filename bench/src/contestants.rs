//! Who is measured.

use std::io;

use crate::servers;

/// A runtime, or none, with the programs it is measured by.
pub struct Contestant {
    /// How it is asked for on the command line of `bench-part`.
    pub id: &'static str,
    /// What the tables call it.
    pub name: &'static str,
    /// On one thread, or on as many as there are cores?
    pub alone: bool,
    /// An echo server whose clients have a buffer of so many bytes.
    pub serve: fn(usize) -> io::Result<()>,
    /// Keeps so many tasks waiting. Without a runtime there are none.
    pub idle: Option<fn(u64) -> io::Result<()>>,
}

/// The limit: a loop without a runtime.
pub const LIMIT: &str = "loop by hand";
/// This runtime on one thread.
pub const OURS: &str = "this runtime";
/// Tokio on one thread.
pub const TOKIO: &str = "Tokio";

/// All of them.
pub const ALL: &[Contestant] = &[
    Contestant {
        id: "by-hand",
        name: LIMIT,
        alone: true,
        serve: servers::by_hand::serve,
        idle: None,
    },
    Contestant {
        id: "ours",
        name: OURS,
        alone: true,
        serve: servers::ours::serve,
        idle: Some(servers::ours::idle),
    },
    Contestant {
        id: "tokio",
        name: TOKIO,
        alone: true,
        serve: servers::tokio::serve,
        idle: Some(servers::tokio::idle),
    },
    Contestant {
        id: "smol",
        name: "smol",
        alone: true,
        serve: servers::smol::serve,
        idle: Some(servers::smol::idle),
    },
    #[cfg(target_os = "linux")]
    Contestant {
        id: "monoio",
        name: "monoio, epoll",
        alone: true,
        serve: servers::monoio::serve,
        idle: Some(servers::monoio::idle),
    },
    Contestant {
        id: "ours-everywhere",
        name: "this runtime, all cores",
        alone: false,
        serve: servers::ours::serve_everywhere,
        idle: None,
    },
    Contestant {
        id: "tokio-everywhere",
        name: "Tokio, all cores",
        alone: false,
        serve: servers::tokio::serve_everywhere,
        idle: None,
    },
];
