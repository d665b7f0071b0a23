//! Blocks that run in the page, and servers to talk to, with `cargo book` behind them.

use std::time::Duration;

use book_tests::browser::{Book, Look, Page, Result, Site};
use serde_json::json;

/// The first run of all compiles the book's crates.
const COMPILING: Duration = Duration::from_secs(600);

/// A block with nothing special about it, and no hidden lines: what is in the editor is all there is.
const PLAIN: &str = "!code.matches('.excerpt, .should_panic, .compile_fail, .no_run') && !code.querySelector('.boring')";

pub(super) type Check = fn(&Page, &Book) -> Result;

/// What a reader does with a running `cargo book`.
pub(super) const TABLE: [(&str, Check); 11] = [
    ("run::a_block_runs_as_it_stands", a_block_runs_as_it_stands),
    (
        "run::edits_run_and_survive_a_reload_until_reset",
        edits_run_and_survive_a_reload_until_reset,
    ),
    (
        "run::an_error_leads_to_its_line",
        an_error_leads_to_its_line,
    ),
    ("run::an_endless_loop_ends", an_endless_loop_ends),
    ("run::a_panic_is_expected", a_panic_is_expected),
    (
        "run::two_tabs_share_edits_and_run_apart",
        two_tabs_share_edits_and_run_apart,
    ),
    (
        "run::a_stale_token_is_explained",
        a_stale_token_is_explained,
    ),
    (
        "run::the_second_client_of_chapter_1_starves",
        the_second_client_of_chapter_1_starves,
    ),
    (
        "run::both_clients_of_chapter_3_are_served",
        both_clients_of_chapter_3_are_served,
    ),
    (
        "run::editor_and_output_have_contrast_in_every_theme",
        editor_and_output_have_contrast_in_every_theme,
    ),
    (
        "run::clients_have_contrast_in_every_theme",
        clients_have_contrast_in_every_theme,
    ),
];

/// Comes as a reader comes, by the printed address, and goes to a page.
fn come(page: &Page, book: &Book, file: &str) -> Result {
    page.goto(book.address())?;
    page.wait(
        "the token out of the address",
        "!location.href.includes('token')",
    )?;
    page.goto(&book.url(file))
}

/// Marks the first block of which this is true, by the id `block`.
fn choose(page: &Page, which: &str) -> Result {
    let found = page.value(&format!(
        "(() => {{
            const all = [...document.querySelectorAll('main pre > code.language-rust')];
            const chosen = all.find((code) => {which});
            if (chosen) chosen.parentElement.id = 'block';
            return Boolean(chosen);
        }})()"
    ))?;
    if found == true {
        Ok(())
    } else {
        Err(format!("no block is as wanted: {which}"))
    }
}

fn press(page: &Page, what: &str) -> Result {
    page.click(&format!("#block + .run-tools [data-do={what}]"))
}

/// Replaces the block's text, as by typing.
fn edit(page: &Page, text: &str) -> Result {
    if page.value("document.querySelector('#block .run-editor') === null")? == true {
        press(page, "edit")?;
    }
    page.wait("the editor", "document.querySelector('#block .run-editor')")?;
    page.value("(() => { const area = document.querySelector('#block .run-editor'); area.focus(); area.select(); })()")?;
    page.enter(text)
}

/// Waits for the end of the block's run, which should be this one.
fn ends(page: &Page, how: &str, expected: &str) -> Result {
    page.wait_within(
        COMPILING,
        "the end of the run",
        "document.querySelector('.run-panel[data-state=ended]')",
    )?;
    let end = page.value("(({ dataset, textContent }) => [dataset.how, dataset.expected, textContent])(document.querySelector('.run-end'))")?;
    if end[0] == how && end[1] == expected {
        return Ok(());
    }
    let printed = page.value("document.querySelector('.run-out').textContent")?;
    Err(format!(
        "it should end by `{how}`, expected: {expected}, and this is what came: {end}\n{printed}"
    ))
}

fn shows(page: &Page, class: &str, text: &str) -> Result {
    page.wait(
        &format!("`{text}` in the output"),
        &format!("[...document.querySelectorAll('.run-panel .{class}')].some((each) => each.textContent.includes({}))", json!(text)),
    )
}

fn no_errors(page: &Page) -> Result {
    match page.errors().as_slice() {
        [] => Ok(()),
        some => Err(some.join("\n")),
    }
}

fn a_block_runs_as_it_stands(page: &Page, book: &Book) -> Result {
    come(page, book, "ch02-scheduler.html")?;
    choose(
        page,
        "!code.matches('.excerpt, .should_panic, .compile_fail, .no_run')",
    )?;
    press(page, "run")?;
    ends(page, "exit", "true")?;
    page.wait(
        "the warning",
        "document.querySelector('.run-warning').textContent.includes('not a sandbox')",
    )?;
    no_errors(page)
}

fn edits_run_and_survive_a_reload_until_reset(page: &Page, book: &Book) -> Result {
    come(page, book, "ch02-scheduler.html")?;
    choose(page, PLAIN)?;
    let original = page.value("document.querySelector('#block > code').textContent")?;
    edit(page, "println!(\"four is {}\", 2 + 2);")?;
    page.press("Control+Enter")?;
    ends(page, "exit", "true")?;
    shows(page, "run-stdout", "four is 4")?;
    page.reload()?;
    choose(page, "code.textContent.includes('four is')")?;
    press(page, "reset")?;
    page.wait(
        "the original",
        &format!("document.querySelector('#block > code').textContent === {original}"),
    )?;
    page.reload()?;
    page.wait("no edit", "![...document.querySelectorAll('main code')].some((code) => code.textContent.includes('four is'))")?;
    no_errors(page)
}

fn an_error_leads_to_its_line(page: &Page, book: &Book) -> Result {
    come(page, book, "ch02-scheduler.html")?;
    choose(page, PLAIN)?;
    edit(
        page,
        "let number = 1;\nlet text: String = number;\nprintln!(\"{text}\");",
    )?;
    press(page, "run")?;
    ends(page, "compile", "false")?;
    shows(page, "run-message", "E0308")?;
    page.wait(
        "its colours",
        "document.querySelector('.run-message [class*=run-colour]')",
    )?;
    page.click(".run-message .run-goto[data-line='2']")?;
    page.wait(
        "the line in the editor",
        "(({ value, selectionStart, selectionEnd }) => value.slice(selectionStart, selectionEnd))(document.activeElement) === 'let text: String = number;'",
    )?;
    no_errors(page)
}

fn an_endless_loop_ends(page: &Page, book: &Book) -> Result {
    come(page, book, "ch02-scheduler.html")?;
    choose(page, PLAIN)?;
    edit(page, "println!(\"begun\");\nloop {}")?;
    press(page, "run")?;
    page.wait_within(
        COMPILING,
        "its first words",
        "document.querySelector('.run-stdout')",
    )?;
    press(page, "stop")?;
    ends(page, "stopped", "null")?;
    // And when nobody stops it.
    press(page, "run")?;
    ends(page, "time", "false")?;
    no_errors(page)
}

fn a_panic_is_expected(page: &Page, book: &Book) -> Result {
    come(page, book, "ch01-synchronous-server.html")?;
    choose(page, "code.matches('.should_panic:not(.excerpt)')")?;
    page.wait(
        "a word about it",
        "document.querySelector('#block + .run-tools .run-hint').textContent.includes('panic')",
    )?;
    press(page, "run")?;
    page.wait_within(
        COMPILING,
        "the end of the run",
        "document.querySelector('.run-end[data-expected=true]')",
    )?;
    shows(page, "run-stderr", "panicked at")?;
    no_errors(page)
}

fn two_tabs_share_edits_and_run_apart(page: &Page, book: &Book) -> Result {
    come(page, book, "ch02-scheduler.html")?;
    let other = page.beside()?;
    other.goto(&book.url("ch02-scheduler.html"))?;
    choose(page, PLAIN)?;
    choose(&other, PLAIN)?;
    edit(page, "println!(\"first\");")?;
    press(page, "run")?;
    other.wait(
        "the edit in the other tab",
        "document.querySelector('#block > code').textContent.includes('first')",
    )?;
    press(&other, "run")?;
    for tab in [page, &other] {
        ends(tab, "exit", "true")?;
        shows(tab, "run-stdout", "first")?;
        no_errors(tab)?;
    }
    Ok(())
}

fn a_stale_token_is_explained(page: &Page, book: &Book) -> Result {
    page.goto(&book.url("ch02-scheduler.html"))?;
    choose(page, PLAIN)?;
    press(page, "run")?;
    page.wait(
        "what to do without a token",
        "document.querySelector('.run-end').textContent.includes('Open the address that')",
    )?;
    page.value(&format!(
        "localStorage.setItem('book-token', '{}')",
        "0".repeat(64)
    ))?;
    press(page, "run")?;
    page.wait(
        "what to do with an old one",
        "document.querySelector('.run-end').textContent.includes('does not know')",
    )
}

/// Starts the first server of a page and gives it two clients, who say something.
fn two_clients(page: &Page, book: &Book, file: &str) -> Result {
    come(page, book, file)?;
    page.click("[data-do=start]")?;
    page.wait_within(
        COMPILING,
        "the first client",
        "document.querySelector('.run-client input:enabled')",
    )?;
    say(page, 1, "hello")?;
    heard(page, 1, "hello")?;
    page.click("[data-do=client]")?;
    page.wait(
        "the second client",
        "document.querySelector('.run-client:nth-child(2) input:enabled')",
    )?;
    say(page, 2, "anyone?")
}

fn say(page: &Page, client: usize, text: &str) -> Result {
    page.click(&format!(".run-client:nth-child({client}) input"))?;
    page.enter(text)?;
    page.press("Enter")
}

fn heard(page: &Page, client: usize, text: &str) -> Result {
    let found = format!(
        "[...document.querySelectorAll('.run-client:nth-child({client}) .run-heard')].some((each) => each.textContent.includes('{text}'))"
    );
    page.wait(&format!("`{text}` back at client {client}"), &found)
}

fn the_second_client_of_chapter_1_starves(page: &Page, book: &Book) -> Result {
    two_clients(page, book, "ch01-synchronous-server.html")?;
    page.wait(
        "the second client to starve",
        "document.querySelector('.run-client:nth-child(2).run-unanswered')",
    )?;
    // The first is served all the while; only its end lets the second in.
    say(page, 1, "still here")?;
    heard(page, 1, "still here")?;
    if page.value("document.querySelector('.run-client:nth-child(2) .run-heard') !== null")? == true
    {
        return Err("the second client was served beside the first".to_owned());
    }
    page.click(".run-client:nth-child(1) [data-do=close]")?;
    heard(page, 2, "anyone?")?;
    page.click(".run-tools-console [data-do=stop]:not([hidden])")?;
    page.wait(
        "the end of the server",
        "document.querySelector('.run-panel[data-state=ended]')",
    )?;
    no_errors(page)
}

fn both_clients_of_chapter_3_are_served(page: &Page, book: &Book) -> Result {
    two_clients(page, book, "ch03-system-events.html")?;
    heard(page, 2, "anyone?")?;
    say(page, 1, "and I")?;
    heard(page, 1, "and I")?;
    no_errors(page)
}

fn editor_and_output_have_contrast_in_every_theme(page: &Page, book: &Book) -> Result {
    come(page, book, "ch02-scheduler.html")?;
    choose(page, PLAIN)?;
    // Each kind of word that the highlighter has a colour for, on both streams.
    edit(
        page,
        "// A comment.\nlet number: u32 = 0x2a;\nprintln!(\"out {number}{}\", 'c');\neprintln!(\"{}\", \"err\".trim_left());",
    )?;
    press(page, "run")?;
    ends(page, "exit", "true")?;
    shows(page, "run-stderr", "err")?;
    shows(page, "run-message", "deprecated")?;
    let mut wrong = super::hard_to_read_in_every_theme(page)?;
    edit(page, "let text: String = 1;")?;
    press(page, "run")?;
    page.wait_within(
        COMPILING,
        "the end of the run",
        "document.querySelector('.run-end[data-how=compile]')",
    )?;
    page.wait(
        "the editor and the error",
        "document.querySelector('#block .run-editor') && document.querySelector('.run-message [class*=run-colour]')",
    )?;
    wrong.extend(super::hard_to_read_in_every_theme(page)?);
    super::none(&wrong)
}

fn clients_have_contrast_in_every_theme(page: &Page, book: &Book) -> Result {
    two_clients(page, book, "ch01-synchronous-server.html")?;
    page.wait(
        "the second client to starve",
        "document.querySelector('.run-client:nth-child(2).run-unanswered')",
    )?;
    super::none(&super::hard_to_read_in_every_theme(page)?)
}

/// In the static build the buttons say how to get what they need, and nothing is asked of anybody.
pub(super) fn without_a_server_buttons_explain(page: &Page, site: &Site, file: &str) -> Result {
    page.look(Look::default())?;
    page.goto(&site.url(&format!("{file}.html")))?;
    choose(page, PLAIN)?;
    page.forget();
    press(page, "run")?;
    page.wait(
        "how to get it",
        "document.querySelector('.run-end').textContent.includes('cargo book')",
    )?;
    let mut asked = page.requests();
    // The browser's own wish for an icon may come late.
    asked.retain(|url| url.contains("/__book/"));
    match asked.as_slice() {
        [] => no_errors(page),
        some => Err(format!("it asks for {some:?}")),
    }
}
