//! How a task ends badly.

use crate::scheduler::drop_quietly;
use crate::violation::Violation;
use std::any::Any;
use std::error::Error;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What tasks return. `?` makes a [`Failure`] of any error.
pub type Result<T> = std::result::Result<T, Failure>;

// ANCHOR: failure
/// Why a task ended badly, and what else went wrong meanwhile.
///
/// It is as large as a pointer, so a `Result` with it costs little while all goes well. `?` makes it
/// from any error; like `anyhow::Error` it is therefore no `Error` itself, but turns into a
/// `Box<dyn Error>` by `?` or `into`.
///
/// # Examples
///
/// ```
/// use ch08_mutexes_and_conditions::{Failure, Reason, Result};
///
/// fn port(text: &str) -> Result<u16> {
///     Ok(text.parse()?)
/// }
///
/// let failure = port("seven").expect_err("not a number").context("--port");
/// assert_eq!(failure.to_string(), "--port: invalid digit found in string");
/// assert!(matches!(failure.reason(), Reason::Error(_)));
/// ```
pub struct Failure(Box<Inner>);

struct Inner {
    reason: Reason,
    /// Put in front of the reason; empty if there is nothing to add.
    context: String,
    suppressed: Vec<Failure>,
}

// ANCHOR: reason
/// The reason of a [`Failure`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The task returned an error.
    Error(Box<dyn Error + Send + Sync>),
    /// The task panicked, or something panicked while it was dropped. This is the text.
    Panicked(String),
    /// The task was cancelled.
    Cancelled,
    /// A rule was broken. Only the caller of [`run`](crate::run) ever sees this one.
    Violation(Violation),
}
// ANCHOR_END: reason
// ANCHOR_END: failure

impl Failure {
    fn new(reason: Reason) -> Failure {
        Failure(Box::new(Inner {
            reason,
            context: String::new(),
            suppressed: Vec::new(),
        }))
    }

    /// A failure that is only a message.
    pub fn msg(message: impl Display) -> Failure {
        Failure::from_boxed(message.to_string().into())
    }

    /// A failure from an error that is in a box already; `?` cannot take it. A failure that went into the
    /// box comes out as it was.
    pub fn from_boxed(error: Box<dyn Error + Send + Sync>) -> Failure {
        match error.downcast::<Boxed>() {
            Ok(boxed) => boxed.0,
            Err(error) => Failure::new(Reason::Error(error)),
        }
    }

    pub(crate) fn cancelled() -> Failure {
        Failure::new(Reason::Cancelled)
    }

    pub(crate) fn violation(violation: Violation) -> Failure {
        Failure::new(Reason::Violation(violation))
    }

    /// From what `catch_unwind` caught.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Failure {
        let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "a panic without a text".to_owned(),
        };
        Failure::new(Reason::Panicked(text))
    }

    /// Why the task ended badly.
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// The error that the task returned, if it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self.reason() {
            Reason::Error(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// What else went wrong, and could be received by nobody: failures of children that the end of
    /// the task cancelled, and panics of destructors. They have no suppressed ones themselves.
    pub fn suppressed(&self) -> &[Failure] {
        &self.0.suppressed
    }

    /// Says in which undertaking it happened: `text` is put in front of the message.
    #[must_use]
    pub fn context(mut self, text: impl Display) -> Failure {
        self.0.context = match self.0.context.as_str() {
            "" => text.to_string(),
            context => format!("{text}: {context}"),
        };
        self
    }

    /// Whether this, or what it suppresses, is a panic.
    fn is_panic(&self) -> bool {
        matches!(self.0.reason, Reason::Panicked(_)) || self.0.suppressed.iter().any(Self::is_panic)
    }

    /// Adds this and all that it suppresses to `list`. A list has no depth, however deep the tree was
    /// in which things went wrong.
    pub(crate) fn flatten_into(mut self, list: &mut Vec<Failure>) {
        let mut suppressed = std::mem::take(&mut self.0.suppressed);
        // A cancellation is worth telling only for what it brought to light.
        if !matches!(self.0.reason, Reason::Cancelled) {
            list.push(self);
        }
        list.append(&mut suppressed);
    }

    /// What this suppresses.
    pub(crate) fn into_suppressed(mut self) -> Vec<Failure> {
        std::mem::take(&mut self.0.suppressed)
    }

    /// This, with `more` among the suppressed.
    pub(crate) fn suppress_all(mut self, more: Vec<Failure>) -> Failure {
        self.0.suppressed.extend(more);
        self
    }
}

/// What `f` returns; if it panics, that is the failure.
pub(crate) fn without_panic<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let failure = Failure::panicked(&*panic);
        drop_quietly(panic);
        Err(failure)
    })
}

// ANCHOR: weigh
/// `result`, when `suppressed` has come to light besides.
///
/// Failures of what a task has cancelled are no concern of its parent if it ended well. A panic is
/// a mistake in the program and must be heard of.
pub(crate) fn weigh<T>(result: Result<T>, suppressed: Vec<Failure>) -> Result<T> {
    let value = match result {
        Err(failure) => return Err(failure.suppress_all(suppressed)),
        Ok(value) => value,
    };
    let (panics, others): (Vec<_>, Vec<_>) = suppressed.into_iter().partition(Failure::is_panic);
    // One by one: errors have destructors, too, and those may panic.
    others.into_iter().for_each(drop_quietly);
    let mut panics = panics.into_iter();
    match panics.next() {
        None => Ok(value),
        Some(first) => {
            drop_quietly(value);
            Err(first.suppress_all(panics.collect()))
        }
    }
}
// ANCHOR_END: weigh

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::from_boxed(Box::new(error))
    }
}

impl Display for Failure {
    /// One line, but for violations. What is suppressed is left to `Debug`, except that a cancellation, which
    /// says nothing by itself, names the first that came to light.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message(f)?;
        match (self.reason(), self.suppressed()) {
            (Reason::Cancelled, [one]) => write!(f, " (also: {one})"),
            (Reason::Cancelled, [first, others @ ..]) => {
                write!(f, " (also: {first}, and {} more)", others.len())
            }
            _ => Ok(()),
        }
    }
}

impl Failure {
    fn message(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.context.is_empty() {
            write!(f, "{}: ", self.0.context)?;
        }
        match self.reason() {
            Reason::Error(error) => write!(f, "{error}"),
            Reason::Panicked(text) => write!(f, "panicked: {text}"),
            Reason::Cancelled => f.write_str("cancelled"),
            Reason::Violation(violation) => write!(f, "{violation}"),
        }
    }
}

/// So many suppressed failures are listed in a message, the others are counted.
const LISTED: usize = 10;

impl fmt::Debug for Failure {
    /// For people: it is what `main` prints when it returns a failure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message(f)?;
        let mut cause = match self.reason() {
            Reason::Error(error) => error.source(),
            _ => None,
        };
        while let Some(error) = cause {
            write!(f, "\n  caused by: {error}")?;
            cause = error.source();
        }
        for failure in self.suppressed().iter().take(LISTED) {
            write!(f, "\n  also: {}", failure.to_string().replace('\n', "\n  "))?;
        }
        match self.suppressed().len().checked_sub(LISTED) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n  and {more} more"),
        }
    }
}

// ANCHOR: boxed
/// What a failure becomes where a `Box<dyn Error>` is wanted.
struct Boxed(Failure);

impl Error for Boxed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.0.reason() {
            Reason::Error(error) => error.source(),
            _ => None,
        }
    }
}

impl Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        Box::new(Boxed(failure))
    }
}

impl From<Failure> for Box<dyn Error> {
    fn from(failure: Failure) -> Self {
        Box::new(Boxed(failure))
    }
}
// ANCHOR_END: boxed
