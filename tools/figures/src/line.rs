//! Which line of the program each event belongs to.
//!
//! Only a domain's own thread notes its events and comes by its marks, so their order is exact.

use crate::event::{Event, What};
use crate::mark::{Kind, Mark};

/// `events`, each with its line.
pub(crate) fn with_lines(mut events: Vec<Event>, marks: &[Mark]) -> Vec<Event> {
    let domains = events.iter().map(|event| event.domain + 1).max();
    for domain in 0..domains.unwrap_or(0) {
        let marks: Vec<&Mark> = marks.iter().filter(|mark| mark.domain == domain).collect();
        let own = events.iter_mut().filter(|event| event.domain == domain);
        lines_of_domain(own, &marks);
    }
    events
}

fn lines_of_domain<'a>(events: impl Iterator<Item = &'a mut Event>, marks: &[&Mark]) {
    // The task whose turn it is, and how many events there were when the turn began.
    let mut turn: Option<(u64, usize)> = None;
    for (index, event) in events.enumerate() {
        let latest = || {
            let (_, began) = turn?;
            let of_turn = |mark: &&&Mark| began < mark.events && mark.events <= index;
            marks.iter().rev().find(of_turn).map(|mark| mark.line)
        };
        let is_turn_of = |task| turn.is_some_and(|(running, _)| running == task);
        event.line = match event.what {
            What::Spawned { line, .. } => Some(line),
            What::Polled => {
                turn = Some((event.task, index));
                goes_on_at(marks, index + 1)
            }
            // What was cancelled is dropped outside of its code.
            What::Ended { .. } if !is_turn_of(event.task) => {
                turn = None;
                None
            }
            What::Woken { by: None } => None,
            _ => latest(),
        };
        if matches!(event.what, What::Suspended { .. }) {
            turn = None;
        }
    }
}

/// Where a poll finds the program: at the innermost of the futures that it asks first, or at its next statement.
fn goes_on_at(marks: &[&Mark], events: usize) -> Option<usize> {
    let of_poll = marks.iter().filter(|mark| mark.events == events);
    let asked = of_poll.clone().take_while(|mark| mark.kind == Kind::Asks);
    let mark = asked.last().or_else(|| of_poll.clone().next());
    mark.map(|mark| mark.line)
}
