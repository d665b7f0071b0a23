//! What the runtimes of all chapters note, as one type.

/// One step of a run.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) domain: usize,
    pub(crate) task: u64,
    pub(crate) what: What,
    /// The line of the program that did it, if one did.
    pub(crate) line: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Spawned {
        by: Option<u64>,
        line: usize,
    },
    Polled,
    Suspended {
        what: &'static str,
        task: Option<u64>,
    },
    Woken {
        by: Option<u64>,
    },
    Cancelled,
    Ended {
        well: bool,
    },
    // `line` made the resource.
    Owned {
        line: usize,
    },
    Disowned {
        line: usize,
    },
    Finalised {
        line: usize,
    },
}
