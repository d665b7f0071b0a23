//! How a task ends.
//!
//! ```text
//!              returns or panics                children gone
//! alive ─────────────────────────▶ ending ─────────────────────▶ over
//!   │        (`ended`)                 │        (`settle`)         │
//!   │ `cancel`                         │ `cancel`                  │ `cancel`
//!   ▼                                  ▼                           ▼
//! cancelled ─── children gone ──▶ what it had is dropped ────▶ gone
//!                                   (`close`)      (`gone`)
//! ```
//!
//! Each step down the tree marks, each step back up drops. Those that are to be dropped stand in the
//! run queue like those that are to be polled, so other tasks go on in between, and no depth
//! of the tree is a depth of the stack.

use crate::domain::{Domain, Message};
use crate::failure::{Failure, Result, weigh, without_panic};
use crate::record::{TaskId, What};
use crate::scheduler::{Scheduler, drop_quietly};
use crate::table::{Body, Key, Marked, Outcome, Remains, Rest, Waiter};
use crate::violation::Violation;

impl Scheduler {
    // ANCHOR: returned
    /// The future of `key` is ready, or has panicked.
    pub(crate) fn returned(&self, key: Key, id: TaskId, body: Body, mut outcome: Outcome) {
        // What the future still holds is dropped before anybody sees the outcome.
        if let Err(failure) = catch_drop(body) {
            match &mut outcome {
                Ok(_) => drop_quietly(std::mem::replace(&mut outcome, Err(failure))),
                Err(_) => self.table().suppress(key, failure),
            }
        }
        let well = outcome.is_ok();
        self.recorder.note(id, What::Ended { well });
        self.ended(key, outcome, false);
    }
    // ANCHOR_END: returned

    // ANCHOR: ended
    /// The code of `key`, a task or a scope, has come to its end.
    pub(crate) fn ended(&self, key: Key, outcome: Outcome, scope: bool) {
        let well = outcome.is_ok();
        let rest = self.table().ended(key, outcome);
        let counts = well && matches!(rest, Rest::Resources | Rest::Children);
        let broken = if counts {
            self.broken_rules(key, scope)
        } else {
            Vec::new()
        };
        match rest {
            _ if !broken.is_empty() => {
                // Its parent must not see it until dom0 has heard.
                let outcome = self.table().withhold(key);
                if let Err(failure) = catch_drop(outcome) {
                    self.table().suppress(key, failure);
                }
                // It is cancelled by that, with everything.
                let failures = broken.into_iter().map(Failure::violation);
                failures.for_each(|failure| self.fail(failure));
            }
            Rest::Nothing | Rest::Resources => self.settle(key),
            // They are cancelled, and it waits for their end.
            Rest::Children if well => {}
            Rest::Children => {
                self.table()
                    .cancel_children(key, |marked| self.cancelled(&marked));
            }
            Rest::Cancelled { turn } => {
                if turn {
                    self.queue(key);
                }
            }
            Rest::Gone(outcome) => drop(outcome),
        }
    }
    // ANCHOR_END: ended

    // ANCHOR: leaks
    /// What `key`, which has ended well, should have done before.
    fn broken_rules(&self, key: Key, scope: bool) -> Vec<Violation> {
        let mut table = self.table();
        let (resources, children) = (table.leaked(key), table.forgotten(key));
        let mut broken = Vec::new();
        if !resources.is_empty() {
            let owner = table.describe(key);
            broken.push(Violation::ResourceLeaked {
                owner,
                scope,
                resources,
            });
        }
        if !children.is_empty() {
            let parent = table.describe(key);
            broken.push(Violation::StillHasChildren {
                parent,
                scope,
                children,
            });
        }
        broken
    }
    // ANCHOR_END: leaks

    // ANCHOR: finalise
    /// Finalises what `key` owns, the newest first. Its children are gone, and what it had is dropped.
    fn finalise(&self, key: Key) {
        loop {
            // The table is not borrowed while a finaliser runs: it may do anything.
            let newest = self.table().pop_record(key);
            let Some(record) = newest else { return };
            let at = record.label().at;
            if record.is_untouched() {
                self.note_owner(key, What::Finalised { at });
            }
            if let Err(failure) = record.end() {
                self.finaliser_failed(key, failure);
            }
        }
    }
    // ANCHOR_END: finalise

    fn finaliser_failed(&self, key: Key, failure: Failure) {
        let erased = self.table().finaliser_failed(key, failure);
        if let Err(failure) = catch_drop(erased) {
            self.table().suppress(key, failure);
        }
    }

    // ANCHOR: settle
    /// The code of `key` has ended and its children are gone.
    pub(crate) fn settle(&self, key: Key) {
        self.finalise(key);
        // Failures of others are merged outside of the table: a value is dropped in one case, and
        // its destructor may do anything.
        let troubled = self.table().take_troubled(key);
        if let Some((outcome, suppressed)) = troubled {
            let outcome = weigh(outcome, suppressed);
            self.table().put_outcome(key, outcome);
        }
        let waiter = self.table().settle(key);
        self.tell(key, waiter);
    }
    // ANCHOR_END: settle

    // ANCHOR: tell
    /// Whoever waits for `key` may look at its outcome, or is sent it.
    fn tell(&self, key: Key, waiter: Option<Waiter>) {
        match waiter {
            None => {}
            Some(Waiter::Caller(caller)) => self.send_outcome(key, caller),
            Some(waiter) => self.wake_waiter(waiter),
        }
    }
    // ANCHOR_END: tell

    // ANCHOR: cancel
    /// Nothing of `key` and what is below it is polled again.
    pub(crate) fn cancel(&self, key: Key) {
        self.table().cancel(key, |marked| self.cancelled(&marked));
    }

    fn cancelled(&self, marked: &Marked) {
        if let Some(id) = marked.id {
            self.recorder.note(id, What::Cancelled);
        }
        if marked.turn {
            self.queue(marked.key);
        }
        if let Some(domain) = marked.elsewhere {
            let caller = self.caller(marked.key);
            // A domain that is no more has said so, or is about to.
            let _ = self.world.send(domain, Message::Cancel(caller));
        }
    }

    /// Drops what a cancelled task without children had.
    pub(crate) fn close(&self, key: Key, id: TaskId, remains: Option<Remains>) {
        let failure = match remains {
            None => None,
            Some(Remains::Body(body)) => {
                self.recorder.note(id, What::Ended { well: false });
                catch_drop(body).err()
            }
            Some(Remains::Outcome(Ok(value))) => catch_drop(value).err(),
            Some(Remains::Outcome(Err(failure))) => Some(failure),
            Some(Remains::Scope) => {
                self.table().bequeath(key);
                None
            }
        };
        if let Some(failure) = failure {
            self.table().suppress(key, failure);
        }
        if !self.table().is_childless(key) {
            // A destructor has spawned them. When they are gone, it has one more turn.
            return;
        }
        self.finalise(key);
        let (waiter, parent) = self.table().gone(key);
        self.tell(key, waiter);
        if let Some(parent) = parent {
            self.queue(parent);
        }
    }
    // ANCHOR_END: cancel

    // ANCHOR: fail
    /// The run has failed: everything is cancelled, by dom0.
    pub(crate) fn fail(&self, failure: Failure) {
        if self.domain != Domain::ZERO {
            // While a task of this domain is there, so is dom0.
            let _ = self.world.send(Domain::ZERO, Message::Fail(failure));
            return;
        }
        self.note_failure(failure);
        self.cancel(self.main.get());
    }

    /// Of several reasons why the run has failed the first one counts.
    pub(crate) fn note_failure(&self, failure: Failure) {
        let mut reason = self.failed.borrow_mut();
        *reason = Some(match reason.take() {
            Some(first) => first.suppress_all(vec![failure]),
            None => failure,
        });
    }
    // ANCHOR_END: fail
}

/// Drops `value`; if that panics, the panic is the failure.
fn catch_drop<T>(value: T) -> Result<()> {
    without_panic(|| {
        drop(value);
        Ok(())
    })
}
