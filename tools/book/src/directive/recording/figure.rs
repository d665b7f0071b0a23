//! A recording as a figure: the picture of one step, the list of all, and what a script needs to show any of them.

use std::fmt::Write;

use serde_json::json;

use super::{Recording, State, Step};
use crate::directive::escaped;

pub(super) fn html(name: &str, recording: &Recording) -> String {
    let shown = &recording.steps[recording.still];
    let count = recording.steps.len();
    let mut html = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        html,
        "<figure class=\"recording\" id=\"recording-{name}\" aria-labelledby=\"recording-{name}-title\">\n\
         <figcaption id=\"recording-{name}-title\">{title}</figcaption>\n\
         <p class=\"recording-of\">{count} steps that <code>{run}</code> has made</p>\n\
         <div class=\"recording-controls\"></div>\n\
         <p class=\"recording-words\" role=\"status\"><span class=\"recording-number\">Step {number}</span> <span class=\"recording-said\">{words}</span></p>\n\
         <div class=\"recording-picture\">\n",
        title = escaped(&recording.title),
        run = escaped(&recording.run),
        number = recording.still,
        words = escaped(&shown.words),
    );
    html += "<div class=\"recording-tree\"><p>tasks</p>\n";
    branch(&mut html, recording, shown, None);
    html += "</div>\n<div class=\"recording-lanes\">\n";
    for domain in 0..recording.domains.len() {
        lane(&mut html, recording, shown, domain);
    }
    html += "</div>\n</div>\n";
    code(&mut html, recording, shown);
    html += "<details class=\"recording-list\" open><summary>All steps in words</summary>\n<ol start=\"0\">\n";
    for step in &recording.steps {
        let _ = writeln!(html, "<li>{}</li>", escaped(&step.words));
    }
    html += "</ol>\n</details>\n";
    let _ = writeln!(
        html,
        "<script type=\"application/json\">{}</script>\n</figure>",
        data(recording)
            .replace('<', "\\u003c")
            .replace("{{", "{\\u007b")
    );
    html
}

/// The children of a task, each with its own below it.
fn branch(html: &mut String, recording: &Recording, step: &Step, parent: Option<&str>) {
    let mut children = recording
        .tasks
        .iter()
        .enumerate()
        .filter(|(_, task)| task.parent.as_deref() == parent)
        .peekable();
    if children.peek().is_none() {
        return;
    }
    *html += "<ul>\n";
    for (index, task) in children {
        let (state, text) = match state(step, &task.id) {
            Some((state, text)) => (state.name(), text),
            None => ("absent", String::from("not there yet")),
        };
        let elsewhere = parent.is_some_and(|parent| {
            recording
                .tasks
                .iter()
                .any(|other| other.id == parent && other.domain != task.domain)
        });
        let domain = if recording.domains.len() > 1 {
            format!(
                " <span class=\"recording-domain\">{}</span>",
                escaped(&recording.domains[task.domain])
            )
        } else {
            String::new()
        };
        let _ = writeln!(
            html,
            "<li{}><div class=\"recording-task{}\" data-task=\"{index}\" data-state=\"{state}\"><b>{}</b>{domain} <span class=\"recording-state\">{}</span></div>",
            if elsewhere {
                " class=\"recording-elsewhere\""
            } else {
                ""
            },
            if step.task == task.id {
                " recording-acts"
            } else {
                ""
            },
            escaped(&task.name),
            escaped(&text),
        );
        branch(html, recording, step, Some(&task.id));
        *html += "</li>\n";
    }
    *html += "</ul>\n";
}

/// Who runs on a domain, and who waits for a turn there.
fn lane(html: &mut String, recording: &Recording, step: &Step, domain: usize) {
    let chip = |id: &str| {
        recording.index(id).map_or(String::new(), |index| {
            format!(
                "<li data-task=\"{index}\">{}</li>",
                escaped(&recording.tasks[index].name)
            )
        })
    };
    let running: String = running(recording, step, domain).map_or(String::new(), chip);
    let queue: String = step.queues[domain].iter().map(|id| chip(id)).collect();
    let _ = writeln!(
        html,
        "<div class=\"recording-lane\"><p>{}</p><div><span>runs</span><ol class=\"recording-running\">{running}</ol>\
         <span>{}</span><ol class=\"recording-queue\">{queue}</ol></div></div>",
        escaped(&recording.domains[domain]),
        escaped(&recording.queue)
    );
}

fn running<'a>(recording: &'a Recording, step: &Step, domain: usize) -> Option<&'a str> {
    let mut tasks = recording.tasks.iter();
    tasks
        .find(|task| task.domain == domain && step.tasks.get(&task.id) == Some(&State::Running))
        .map(|task| task.id.as_str())
}

fn code(html: &mut String, recording: &Recording, step: &Step) {
    *html += "<ol class=\"recording-code\">\n";
    for (index, line) in recording.code.lines.iter().enumerate() {
        let number = recording.code.from + index;
        if line.contains("// ANCHOR") {
            continue;
        }
        let here = if step.line == Some(number) {
            " class=\"recording-here\""
        } else {
            ""
        };
        // The highlighter takes each line by itself. It knows `rs`, which mdBook does not take for a block to run.
        let _ = writeln!(
            html,
            "<li value=\"{number}\"{here}><code class=\"language-rs\">{}</code></li>",
            escaped(line)
        );
    }
    *html += "</ol>\n";
}

/// The state of a task in a step, and in words; `None` before it is spawned.
fn state(step: &Step, task: &str) -> Option<(State, String)> {
    let state = *step.tasks.get(task)?;
    let mut text = state.name().replace('-', " ");
    if let Some(what) = step.on.get(task) {
        let _ = write!(text, ", waits for {what}");
    }
    if let Some(owned) = step.owns.get(task).filter(|owned| !owned.is_empty()) {
        let _ = write!(text, ", owns {}", owned.join(", "));
    }
    Some((state, text))
}

/// For each step: its task, its line, an index into `states` for each task, who runs and who is queued on each domain.
fn data(recording: &Recording) -> String {
    let index = |id: &str| recording.index(id);
    let mut states: Vec<(&str, String)> = vec![("absent", String::from("not there yet"))];
    let mut steps = Vec::new();
    for step in &recording.steps {
        let of_tasks: Vec<usize> = recording
            .tasks
            .iter()
            .map(|task| {
                let Some((state, text)) = state(step, &task.id) else {
                    return 0;
                };
                let known = (state.name(), text);
                states
                    .iter()
                    .position(|other| *other == known)
                    .unwrap_or_else(|| {
                        states.push(known);
                        states.len() - 1
                    })
            })
            .collect();
        let running: Vec<_> = (0..recording.domains.len())
            .map(|domain| running(recording, step, domain).and_then(index))
            .collect();
        let queues: Vec<Vec<_>> = step
            .queues
            .iter()
            .map(|queue| queue.iter().filter_map(|id| index(id)).collect())
            .collect();
        steps.push(json!([
            index(&step.task),
            step.line,
            of_tasks,
            running,
            queues
        ]));
    }
    json!({ "states": states, "still": recording.still, "steps": steps }).to_string()
}
