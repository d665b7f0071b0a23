//! `{{#recording NAME}}`: recorded runs on a page.

mod common;

use std::fs;

use common::Fixture;

/// A child is called, and waits.
const LAMP: &str = r#"{
 "run": "cargo run --example lamp",
 "title": "A lamp <i>&amp; a \"switch\" {{#x}}", "still": 1,
 "code": {"from": 7, "lines": ["// ANCHOR: lamp", "let on = 1 < 2;", "", "on"]},
 "domains": ["dom0", "dom1"],
 "queue": "run queue",
 "tasks": [
  {"id": "main", "name": "main", "parent": null, "domain": 0},
  {"id": "t1", "name": "the <lamp>", "parent": "main", "domain": 1}
 ],
 "steps": [
  {"domain": 0, "task": "main", "line": 8, "words": "main has its turn.",
   "tasks": {"main": "running"}, "on": {}, "queues": [[], []]},
  {"domain": 1, "task": "t1", "line": 10, "words": "The lamp enters a queue </script>.",
   "tasks": {"main": "suspended", "t1": "ready"}, "on": {"main": "the lamp"}, "queues": [[], ["t1"]],
   "owns": {"t1": ["a bulb"]}}
 ]
}"#;

fn with(recording: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("src/figures/recordings/lamp.json", recording);
    fixture.edit(
        "src/one.md",
        "## A heading",
        "## A heading\n\n{{#recording lamp}}",
    );
    fixture
}

/// The figure on the finished page.
fn figure() -> String {
    let fixture = with(LAMP);
    assert_eq!(fixture.check(), Vec::<String>::new());
    let site = fixture.path("site");
    book::build(fixture.root(), &site).expect("a good book");
    let page = fs::read_to_string(site.join("one.html")).expect("the page");
    let figure = page.split_once("<figure").expect("the figure").1;
    let figure = figure.split_once("</figure>").expect("its end").0;
    format!("<figure{figure}")
}

#[test]
fn the_picture_is_that_of_the_still() {
    let figure = figure();
    let main = "data-task=\"0\" data-state=\"suspended\"><b>main</b>";
    assert!(figure.contains(main), "{figure}");
    assert!(
        figure.contains("suspended, waits for the lamp<"),
        "{figure}"
    );
    assert!(figure.contains("ready, owns a bulb<"), "{figure}");
    // On another domain than its parent, and the one that does this step.
    let lamp = figure
        .split("recording-elsewhere")
        .nth(1)
        .expect("the lamp");
    assert!(lamp.contains("recording-acts\" data-task=\"1\""), "{lamp}");
    let queues: Vec<&str> = figure.split("recording-queue\">").skip(1).collect();
    assert!(queues[0].trim_start().starts_with("</ol>"), "{}", queues[0]);
    assert!(
        queues[1].trim_start().starts_with("<li data-task=\"1\">"),
        "{}",
        queues[1]
    );
    let here = figure.split("recording-here").nth(1).expect("a line");
    assert!(here.contains(">on</code>"), "{here}");
}

#[test]
fn every_step_is_told_in_words() {
    let figure = figure();
    let list = figure.split_once("<ol start=\"0\">").expect("a list").1;
    let items: Vec<&str> = list.split("<li>").skip(1).collect();
    assert_eq!(items.len(), 2);
    assert!(items[0].starts_with("main has its turn.</li>"));
    assert!(items[1].starts_with("The lamp enters a queue &lt;/script&gt;.</li>"));
}

#[test]
fn a_script_finds_the_steps() {
    let figure = figure();
    let (_, script) = figure
        .split_once("<script type=\"application/json\">")
        .expect("the data");
    let (data, _) = script.split_once("</script>").expect("its end");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(data["still"], 1);
    assert_eq!(
        data["steps"][0],
        serde_json::json!([0, 8, [1, 0], [0, null], [[], []]])
    );
    assert_eq!(
        data["steps"][1],
        serde_json::json!([1, 10, [2, 3], [null, null], [[], [1]]])
    );
    assert_eq!(data["states"][0][0], "absent");
    assert_eq!(data["states"][3][1], "ready, owns a bulb");
}

#[test]
fn what_stands_in_the_file_is_text() {
    let figure = figure();
    assert!(figure.contains("&lt;i&gt;&amp;amp; a"), "{figure}");
    assert!(figure.contains("the &lt;lamp&gt;"), "{figure}");
    assert!(!figure.contains("ANCHOR"), "{figure}");
    assert!(
        figure.contains("<li value=\"9\"><code class=\"language-rs\"></code></li>"),
        "{figure}"
    );
}

#[test]
fn a_file_that_does_not_hang_together() {
    for (from, to, message) in [
        (
            "\"still\": 1",
            "\"still\": 2",
            "`still` is 2, and there are 2 steps, counted from 0",
        ),
        (
            "\"line\": 10",
            "\"line\": 11",
            "step 1: line 11 is not among those that are shown, 7 to 10",
        ),
        ("[\"t1\"]]", "[\"t2\"]]", "step 1: there is no task `t2`"),
        (
            "[[], []]",
            "[[]]",
            "step 0: there are 1 queues for 2 domains",
        ),
        (
            "\"main has its turn.\"",
            "\" \"",
            "step 0: `words` is empty",
        ),
        (
            "\"parent\": null",
            "\"parent\": \"t1\"",
            "the parent of task `main` does not stand before it",
        ),
        (
            "\"parent\": null",
            "\"parent\": \"main\"",
            "the parent of task `main` does not stand before it",
        ),
        (
            "\"domain\": 1}",
            "\"domain\": 2}",
            "task `t1` is on a domain that is not listed",
        ),
        (
            "\"id\": \"t1\"",
            "\"id\": \"main\"",
            "there are two tasks `main`",
        ),
        (
            "\"running\"",
            "\"jumping\"",
            "is no recording: unknown variant `jumping`",
        ),
        (
            "\"title\"",
            "\"tilte\"",
            "is no recording: unknown field `tilte`",
        ),
    ] {
        assert!(LAMP.contains(from), "{from}");
        let problems = with(&LAMP.replacen(from, to, 1)).check();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with("src/one.md:5: src/figures/recordings/lamp.json"),
            "{problems:?}"
        );
        assert!(problems[0].contains(message), "{problems:?}");
    }
}

#[test]
fn a_recording_that_is_not_there() {
    let fixture = Fixture::new();
    fixture.edit(
        "src/one.md",
        "## A heading",
        "## A heading\n\n{{#recording gone}}\n\n{{#recording ../x}}",
    );
    let problems = fixture.check();
    assert!(
        problems[0].contains("src/figures/recordings/gone.json cannot be read"),
        "{problems:?}"
    );
    assert!(
        problems[1].contains("`../x` is no name of a recording"),
        "{problems:?}"
    );
}
