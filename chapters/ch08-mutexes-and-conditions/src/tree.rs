//! What all tasks are doing.
//!
//! Each domain knows its own tasks, and nobody else may look into its table. So whoever wants to see them sends
//! each domain a message, as callers do, and puts together what comes back.

use crate::budget::poll_spend;
use crate::domain::{Caller, Domain, Message};
use crate::record::{TaskId, Wait};
use crate::scheduler::Scheduler;
use crate::sleep::{Sleep, sleep};
use crate::table::Key;
use crate::violation::{ResourceInfo, TaskInfo, TaskState};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

// ANCHOR: tree
/// The tasks of a run, on all its domains. Given by [`Cx::tree`](crate::Cx::tree).
///
/// It prints as a drawing. Of many children that were spawned on one line, the first ten are drawn and the others counted, and so
/// are those more than 64 levels below the main task; `{:#}` shows all.
///
/// The domains are not asked at the very same time: a task may be missing that was on its way from one to the
/// other. One whose caller is not there stands at the depth 0, as the main task does. Domains that have died are left out.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: Vec<TreeNode>,
    silent: Vec<Domain>,
}

/// A task in a [`Tree`]; or a part of a task: a scope, or a finaliser that waits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TreeNode {
    /// 0 for the main task, and one more than its parent's for a child.
    pub depth: usize,
    /// What it is.
    pub kind: NodeKind,
    /// The domain that runs it.
    pub domain: Domain,
    /// The task. Of a part, the number is the task's. The line of a scope is the one that opened it, and the state that of the
    /// code around it, until its own has ended; the line of a finaliser is the one that owned what is finalised.
    pub task: TaskInfo,
    /// Whether it was cancelled, and is on its way out.
    pub cancelled: bool,
    /// How long it has been there; known if [`Builder::ages`](crate::Builder::ages) asked for that.
    pub age: Option<Duration>,
    /// What it owns, the oldest first.
    pub owns: Vec<ResourceInfo>,
}

/// What a [`TreeNode`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// A task.
    Task,
    /// A scope in a task.
    Scope,
    /// A finaliser that waits.
    Finaliser,
}
// ANCHOR_END: tree

impl Tree {
    /// How long a domain is given to answer.
    pub const PATIENCE: Duration = Duration::from_secs(1);

    /// All of them, each child after its parent, and right after what is below its elder sibling.
    pub fn nodes(&self) -> &[TreeNode] {
        &self.nodes
    }

    /// The domains that have not answered: a task blocks their thread, or keeps it busy. What they run for others
    /// [runs elsewhere](TaskState::Elsewhere), and what is below that is missing.
    pub fn silent(&self) -> &[Domain] {
        &self.silent
    }
}

// ANCHOR: ask
/// What a domain says of the place of one of its tasks.
pub(crate) struct Place {
    pub(crate) key: Key,
    /// Where it was called from, if it was.
    pub(crate) caller: Option<Caller>,
    /// Its depth is counted from the root on this domain.
    pub(crate) node: TreeNode,
}

/// A question that waits for the answers of several domains.
#[derive(Default)]
struct Question(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    places: Vec<Answer>,
    /// Those whose answer is still to come.
    missing: Vec<Domain>,
    waker: Option<Waker>,
}

/// The question, on its way to `domain`. It does not keep the question: whoever asked may have gone.
pub(crate) struct Ask {
    question: Weak<Question>,
    domain: Domain,
}

impl Ask {
    pub(crate) fn answer(self, survey: impl FnOnce() -> Vec<Place>) {
        if let Some(question) = self.question.upgrade() {
            let places = survey();
            question.lock().places.push((self.domain, places));
        }
    }
}

impl Drop for Ask {
    /// It was answered; or it never will be, because the domain is no more.
    fn drop(&mut self) {
        let Some(question) = self.question.upgrade() else {
            return;
        };
        let mut answers = question.lock();
        answers.missing.retain(|&domain| domain != self.domain);
        let waker = match answers.missing.is_empty() {
            true => answers.waker.take(),
            false => None,
        };
        drop(answers);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
// ANCHOR_END: ask

impl Question {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when all have answered.
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut answers = self.lock();
        if answers.missing.is_empty() {
            return Poll::Ready(());
        }
        let waits = |waker: &Waker| waker.will_wake(cx.waker());
        if !answers.waker.as_ref().is_some_and(waits) {
            let former = answers.waker.replace(cx.waker().clone());
            drop(answers);
            drop(former);
        }
        Poll::Pending
    }
}

// ANCHOR: look
/// Asks all domains.
pub(crate) async fn look(scheduler: &Scheduler) -> Tree {
    let question = Arc::new(Question::default());
    let own = scheduler.table().survey(scheduler.domain);
    question.lock().places.push((scheduler.domain, own));
    let others = scheduler.world.domains();
    for domain in others.filter(|&domain| domain != scheduler.domain) {
        question.lock().missing.push(domain);
        let question = Arc::downgrade(&question);
        let ask = Message::Tree(Ask { question, domain });
        // From a domain that is no more it comes back, and is dropped.
        let _ = scheduler.world.send(domain, ask);
    }
    let mut patience = scheduler.system.as_ref().map(|_| sleep(Tree::PATIENCE));
    poll_fn(|cx| {
        let answered = question.poll(cx).is_ready();
        let out_of_patience = |sleep: &mut Sleep| Pin::new(sleep).poll(cx).is_ready();
        if !answered && !patience.as_mut().is_some_and(out_of_patience) {
            scheduler.wait_for("the other domains to say what they do", None);
            return Poll::Pending;
        }
        poll_spend(cx)
    })
    .await;
    let mut answers = question.lock();
    Tree {
        nodes: join(std::mem::take(&mut answers.places)),
        silent: std::mem::take(&mut answers.missing),
    }
}
// ANCHOR_END: look

// ANCHOR: join
/// What one domain has answered.
type Answer = (Domain, Vec<Place>);

/// Puts what each domain runs for others where it was called from.
fn join(mut answers: Vec<Answer>) -> Vec<TreeNode> {
    answers.sort_by_key(|&(domain, _)| domain);
    let mut roots = Vec::new();
    let mut elsewhere = HashSet::new();
    for (number, (domain, places)) in answers.iter().enumerate().rev() {
        let mut end = places.len();
        for (index, place) in places.iter().enumerate().rev() {
            if place.node.depth == 0 {
                roots.push((place.caller, (number, index..end)));
                end = index;
            }
            if place.is_elsewhere() {
                elsewhere.insert(place.name(*domain));
            }
        }
    }
    // The main task first.
    roots.reverse();
    let mut called = HashMap::new();
    let mut first = Vec::new();
    for (caller, range) in roots {
        match caller {
            Some(caller) if elsewhere.contains(&caller) => drop(called.insert(caller, range)),
            _ => first.push(range),
        }
    }
    let count = answers.iter().map(|(_, places)| places.len()).sum();
    let mut nodes = Vec::with_capacity(count);
    let mut answers: Vec<(Domain, Vec<Option<Place>>)> = answers
        .into_iter()
        .map(|(domain, places)| (domain, places.into_iter().map(Some).collect()))
        .collect();
    for range in first {
        // What is still to be told, and how deep it is: below a task here, that of another domain.
        let mut open = vec![(0, range)];
        while let Some((depth, (number, places))) = open.last_mut() {
            let (number, depth) = (*number, *depth);
            let Some(index) = places.next() else {
                open.pop();
                continue;
            };
            let (domain, places) = &mut answers[number];
            let Some(mut place) = places[index].take() else {
                continue;
            };
            place.node.depth += depth;
            match called.remove(&place.name(*domain)) {
                Some(range) => open.push((place.node.depth, range)),
                None => nodes.push(place.node),
            }
        }
    }
    nodes
}
// ANCHOR_END: join

impl Place {
    fn is_elsewhere(&self) -> bool {
        matches!(self.node.task.state, TaskState::Elsewhere(_))
    }

    /// As other domains name it.
    fn name(&self, domain: Domain) -> Caller {
        let key = self.key;
        Caller { domain, key }
    }
}

// ANCHOR: draw
/// So many children that were spawned on one line are drawn, the others are counted.
const DRAWN: usize = 10;

/// So deep goes the drawing.
const LEVELS: usize = 64;

impl fmt::Display for Tree {
    /// A line for each, and a line for all that are only counted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = self.ends();
        let everything = self.items(0..self.nodes.len(), &ends, f.alternate());
        // What is still to be drawn, from the main task down, so that no depth is a depth of the stack.
        let mut open = vec![everything.into_iter()];
        while let Some(items) = open.last_mut() {
            let Some(item) = items.next() else {
                open.pop();
                continue;
            };
            indent(f, &open, true)?;
            let index = match item {
                Item::Node(index) => index,
                Item::Rest(rest) => {
                    writeln!(f, "{}", self.count(&rest))?;
                    continue;
                }
            };
            let node = &self.nodes[index];
            writeln!(f, "{node}")?;
            let below = index + 1..ends[index];
            let items = match open.len() > LEVELS && !f.alternate() && !below.is_empty() {
                true => vec![Item::Rest(Rest::deep(below))],
                false => self.items(below, &ends, f.alternate()),
            };
            open.push(items.into_iter());
            for resource in &node.owns {
                indent(f, &open, false)?;
                // Whatever its name: a line is a line.
                writeln!(f, "owns {}", resource.to_string().replace('\n', " "))?;
            }
        }
        for domain in &self.silent {
            let patience = Tree::PATIENCE;
            writeln!(
                f,
                "{domain} has not answered for {patience:?}: its thread is busy"
            )?;
        }
        Ok(())
    }
}

/// The lines to the left of an item, or of what belongs to the one that was drawn last.
fn indent(
    f: &mut fmt::Formatter<'_>,
    open: &[std::vec::IntoIter<Item>],
    item: bool,
) -> fmt::Result {
    // The main task has no line.
    let levels = &open[1..];
    let (drawn, deeper) = levels.split_at(levels.len().min(LEVELS));
    for (level, items) in drawn.iter().enumerate() {
        let is_last = items.len() == 0;
        f.write_str(match (item && level + 1 == levels.len(), is_last) {
            (true, false) => "├─ ",
            (true, true) => "└─ ",
            (false, false) => "│  ",
            (false, true) => "   ",
        })?;
    }
    match deeper.len() {
        0 => Ok(()),
        more => write!(f, "(level {}) ", drawn.len() + more),
    }
}

/// Something to draw.
enum Item {
    Node(usize),
    Rest(Rest),
}

/// What is only counted.
struct Rest {
    /// One line has spawned them.
    alike: bool,
    nodes: Vec<usize>,
    /// How many more there are below them.
    below: usize,
}

impl Rest {
    fn deep(below: Range<usize>) -> Rest {
        Rest {
            alike: false,
            nodes: below.collect(),
            below: 0,
        }
    }
}

impl Tree {
    /// For each node, where what is below it ends.
    fn ends(&self) -> Vec<usize> {
        let mut ends = vec![self.nodes.len(); self.nodes.len()];
        let mut open: Vec<usize> = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            while let Some(&last) = open.last()
                && self.nodes[last].depth >= node.depth
            {
                ends[last] = index;
                open.pop();
            }
            open.push(index);
        }
        ends
    }

    /// What is to be drawn of the children in `below`.
    fn items(&self, below: Range<usize>, ends: &[usize], all: bool) -> Vec<Item> {
        let next = |&index: &usize| (ends[index] < below.end).then_some(ends[index]);
        let first = (!below.is_empty()).then_some(below.start);
        let children: Vec<usize> = std::iter::successors(first, next).collect();
        // To count one takes as much room as to draw it.
        if all || children.len() <= DRAWN + 1 {
            return children.into_iter().map(Item::Node).collect();
        }
        let line = |index: usize| (self.nodes[index].kind, self.nodes[index].task.spawned_at);
        let mut lines: HashMap<_, Vec<usize>> = HashMap::new();
        for &child in &children {
            lines.entry(line(child)).or_default().push(child);
        }
        let mut rests: Vec<Vec<usize>> = Vec::new();
        lines.retain(|_, alike| {
            let many = alike.len() > DRAWN + 1;
            if many {
                rests.push(alike.split_off(DRAWN));
            }
            many
        });
        rests.sort_unstable();
        let is_drawn = |&child: &usize| {
            lines
                .get(&line(child))
                .is_none_or(|drawn| drawn.last() >= Some(&child))
        };
        let drawn = children.into_iter().filter(is_drawn).map(Item::Node);
        let rests = rests.into_iter().map(|nodes| {
            let below = nodes.iter().map(|&node| ends[node] - node - 1).sum();
            Item::Rest(Rest {
                alike: true,
                nodes,
                below,
            })
        });
        drawn.chain(rests).collect()
    }

    /// How many are left out, and how they are doing.
    fn count(&self, rest: &Rest) -> String {
        let mut text = format!("… and {} more ", thousands(rest.nodes.len()));
        let mut states: Vec<(TaskState, usize)> = Vec::new();
        for &index in &rest.nodes {
            let state = alike(self.nodes[index].task.state);
            match states.iter_mut().find(|(other, _)| *other == state) {
                Some((_, count)) => *count += 1,
                None => states.push((state, 1)),
            }
        }
        states.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let node = &self.nodes[rest.nodes[0]];
        text += &match (rest.alike, node.kind) {
            (false, _) => "below".to_owned(),
            (true, NodeKind::Task) => format!("spawned at {}", node.task.spawned_at),
            (true, NodeKind::Scope) => format!("scopes opened at {}", node.task.spawned_at),
            (true, NodeKind::Finaliser) => format!("finalisers, {}", node.task.spawned_at),
        };
        let mut sign = ": ";
        for (state, count) in states {
            text += &format!("{sign}{} {}", thousands(count), doing(state, count));
            sign = ", ";
        }
        if rest.below > 0 {
            text += &format!("; {} below them", thousands(rest.below));
        }
        text
    }
}

/// `state`, without what makes it another one for each task.
fn alike(state: TaskState) -> TaskState {
    match state {
        TaskState::Waits(wait) => TaskState::Waits(Wait {
            task: wait.task.map(|_| TaskId(0)),
            ..wait
        }),
        state => state,
    }
}

/// What `count` tasks are doing.
fn doing(state: TaskState, count: usize) -> String {
    let (one, many) = match state {
        TaskState::Running => ("is running", "are running"),
        TaskState::Ready => ("is ready to run", "are ready to run"),
        TaskState::Ending => (
            "waits for its children to end",
            "wait for their children to end",
        ),
        TaskState::Succeeded => ("has succeeded", "have succeeded"),
        TaskState::Failed => ("has failed", "have failed"),
        TaskState::Elsewhere(domain) => {
            let verb = if count == 1 { "runs" } else { "run" };
            return format!("{verb} on {domain}");
        }
        TaskState::Waits(wait) => {
            let verb = if count == 1 { "waits" } else { "wait" };
            return match wait.task {
                Some(_) => format!("{verb} for {} another task", wait.what),
                None => format!("{verb} for {wait}"),
            };
        }
    };
    if count == 1 { one } else { many }.to_owned()
}

/// `9,990`, as people write it.
fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for TreeNode {
    /// One line, without what it owns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TaskInfo {
            id,
            spawned_at,
            state,
        } = &self.task;
        match self.kind {
            NodeKind::Task => write!(f, "{id} on {}, spawned at {spawned_at}", self.domain)?,
            NodeKind::Scope => write!(f, "scope, opened at {spawned_at}")?,
            NodeKind::Finaliser => write!(f, "finaliser of what was owned at {spawned_at}")?,
        }
        if let Some(age) = self.age {
            write!(f, ", {age:.1?} old")?;
        }
        if self.cancelled {
            f.write_str(", cancelled")?;
        }
        match (self.kind, state) {
            // Its code is that of its task.
            (NodeKind::Scope, state) if *state != TaskState::Ending => Ok(()),
            _ => write!(f, ", {state}"),
        }
    }
}
// ANCHOR_END: draw
