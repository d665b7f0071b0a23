//! Tasks that another domain runs.
//!
//! In the table of its parent such a task has a place like other children, with nothing in it but
//! the name of the domain. On that domain it has no parent, and a caller instead. What a parent does to its
//! child, and what becomes of it, goes by messages between these two places.

use crate::cx::Cx;
use crate::domain::{Call, Caller, Domain, Message, Parcel};
use crate::failure::{Failure, Result};
use crate::record::What;
use crate::scheduler::{Scheduler, drop_quietly};
use crate::table::{Key, Kind, Outcome, Progress, Step, Waiter};
use crate::trace::Tracer;
use crate::violation::Violation;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;

impl Scheduler {
    // ANCHOR: call
    /// Has `domain` run a child of `parent`, which is the task of `cx`, a scope, or a group in it. There, `make`
    /// makes the child's code, when the child has its place.
    pub(crate) fn call<T: Send + 'static, F: AsyncFnOnce(&Cx) -> Result<T> + 'static>(
        self: &Rc<Self>,
        cx: &Cx,
        parent: Key,
        domain: Domain,
        make: impl FnOnce(&Scheduler, Key) -> F + Send + 'static,
        at: &'static Location<'static>,
    ) -> Key {
        if self.is_dying(cx, parent) {
            // It is cancelled before it starts: nobody else has to hear of it.
            return self.spawn(cx, parent, make, at);
        }
        // ANCHOR: start
        let id = self.next_id();
        let (key, _) = self.reserve(cx, parent, Kind::Elsewhere(id, domain), at);
        let start = Box::new(move |scheduler: &Rc<Scheduler>, key| {
            let f = make(scheduler, key);
            let cx = Cx::new(scheduler.clone(), key, key, id);
            let future = async move { f(&cx).await.map(|value| Box::new(value) as Parcel) };
            Box::pin(future) as Pin<Box<dyn Step>>
        });
        let (caller, by) = (self.caller(key), self.current_id());
        let call = Call {
            caller,
            id,
            by,
            at,
            start,
        };
        self.recorder.trace(|tracer| tracer.depart(caller, "spawn"));
        if let Err(call) = self.world.send(domain, Message::Call(call)) {
            drop_quietly(call);
            self.arrived(key, Err(dead(domain)));
        }
        // ANCHOR_END: start
        key
    }
    // ANCHOR_END: call

    /// How another domain names the child in the place `key`.
    pub(crate) fn caller(&self, key: Key) -> Caller {
        let domain = self.domain;
        Caller { domain, key }
    }

    // ANCHOR: receive
    pub(crate) fn receive(self: &Rc<Self>, message: Message) {
        match message {
            Message::Wake(handle) => {
                let key = handle.acknowledge();
                self.led_by(self.caller(key), || self.wake(key));
            }
            Message::Call(call) => self.led_by(call.caller, || self.called(call)),
            Message::Cancel(caller) => {
                let key = self.calls.borrow().get(&caller).copied();
                // If there is none, it has ended, and the caller will hear of it.
                if let Some(key) = key {
                    self.cancel(key);
                }
            }
            Message::Ended { key, outcome } => self.led_by(self.caller(key), || {
                self.arrived(key, outcome.map(|parcel| parcel as _));
            }),
            Message::Transfer { key, deliver } => deliver(self, key),
            Message::Fail(failure) => self.fail(failure),
            Message::Died(domain) => self.died(domain),
            Message::Stalled => self.stalled(),
            Message::Stuck(failure) => self.note_failure(failure),
            Message::Tree(ask) => ask.answer(|| self.table().survey(self.domain)),
            Message::Stop => self.stopping.set(true),
        }
    }

    /// Takes in a message about `place`. In a trace, an arrow leads from where it was sent to what it leads to.
    fn led_by(&self, place: Caller, receive: impl FnOnce()) {
        self.recorder.trace(|tracer| tracer.arrive(place));
        receive();
        self.recorder.trace(Tracer::arrived);
    }

    /// Nothing will ever come.
    fn stalled(&self) {
        let tasks = self.table().alive();
        if tasks.is_empty() {
            return;
        }
        let failure = Failure::violation(Violation::Stalled { tasks });
        match self.domain {
            // All others have been told, and will say what is stuck there before they are cancelled.
            Domain::ZERO => self.fail(failure),
            _ => drop(self.world.send(Domain::ZERO, Message::Stuck(failure))),
        }
    }

    // ANCHOR: called
    fn called(self: &Rc<Self>, call: Call) {
        let (id, by, at) = (call.id, call.by, call.at);
        let (key, ..) = self.table().reserve(Key::NONE, Kind::Task(id), at);
        let caller = Waiter::Caller(call.caller);
        self.table().set_waiter(key, caller);
        self.calls.borrow_mut().insert(call.caller, key);
        self.recorder.note(id, What::Spawned { by, at });
        let future = (call.start)(self, key);
        self.table().start(key, future);
        self.queue(key);
    }
    // ANCHOR_END: called
    // ANCHOR_END: receive

    // ANCHOR: outcome
    /// Sends the outcome of `key`, which is over, to where it was called from.
    pub(crate) fn send_outcome(&self, key: Key, caller: Caller) {
        let Progress::Over(outcome) = self.progress(key) else {
            return;
        };
        self.calls.borrow_mut().remove(&caller);
        self.recorder.trace(|tracer| tracer.depart(caller, "wake"));
        let outcome = outcome.map(|value| match value.downcast::<Parcel>() {
            Ok(parcel) => *parcel,
            // It was cancelled and has no value.
            Err(_) => Box::new(()) as Parcel,
        });
        let key = caller.key;
        let message = Message::Ended { key, outcome };
        if let Err(message) = self.world.send(caller.domain, message) {
            drop_quietly(message);
        }
    }

    /// The task of `key`, which another domain ran, has come to `outcome`.
    fn arrived(&self, key: Key, outcome: Outcome) {
        let (waiter, turn) = self.table().arrived(key, outcome);
        if turn {
            self.queue(key);
        }
        if let Some(waiter) = waiter {
            self.wake_waiter(waiter);
        }
    }
    // ANCHOR_END: outcome

    // ANCHOR: died
    fn died(&self, domain: Domain) {
        let keys = self.table().on(domain);
        for key in keys {
            self.arrived(key, Err(dead(domain)));
        }
        for (caller, &key) in &*self.calls.borrow() {
            if caller.domain == domain {
                self.cancel(key);
            }
        }
    }
    // ANCHOR_END: died
}

fn dead(domain: Domain) -> Failure {
    Failure::msg(format_args!("{domain} has died, and the task with it"))
}
