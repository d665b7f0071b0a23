//! Differences, lists of changes, and the pages of whole files.

use book_tests::browser::{Look, Page, Result, Site};
use book_tests::here;
use serde_json::json;

use super::{Check, none, open};

pub(super) const TABLE: [(&str, Check, &str); 6] = [
    (
        "changes::a_fold_opens_by_keyboard_and_says_so",
        a_fold_opens_by_keyboard_and_says_so,
        "ch04-orphans",
    ),
    (
        "changes::what_came_and_went_is_told",
        what_came_and_went_is_told,
        "ch04-orphans",
    ),
    (
        "changes::on_paper_every_change_is_there",
        on_paper_every_change_is_there,
        "ch05-parallelism",
    ),
    (
        "changes::lines_stay_in_their_box",
        lines_stay_in_their_box,
        "ch05-parallelism",
    ),
    (
        "changes::the_whole_file_is_a_step_away",
        the_whole_file_is_a_step_away,
        "ch04-orphans",
    ),
    (
        "changes::without_a_server_files_are_there_too",
        without_a_server_files_are_there_too,
        "ch04-orphans",
    ),
];

fn a_fold_opens_by_keyboard_and_says_so(page: &Page, site: &Site, file: &str) -> Result {
    page.goto(&site.url(&format!("{file}.html#what-changed")))?;
    let fold = "document.activeElement.matches('.diff-fold > summary')";
    for _ in 0..200 {
        page.press("Tab")?;
        if page.value(fold)? == true {
            break;
        }
    }
    if page.value(fold)? != true {
        return Err("200 times Tab does not lead to a fold".to_owned());
    }
    let lines = "(() => {
        const [code] = document.activeElement.parentElement.querySelectorAll(':scope > div > code');
        return code.checkVisibility() && code.getBoundingClientRect().height > 0;
    })()";
    // Enter and the space bar do the same.
    for (key, open) in [("", false), ("Enter", true), (" ", false), (" ", true)] {
        if !key.is_empty() {
            page.press(key)?;
        }
        page.wait(
            &format!("the lines of the fold, after `{key}`"),
            &format!("({lines}) === {open}"),
        )?;
        let told = page.spoken("document.activeElement")?;
        let name = told["name"].as_str().unwrap_or_default();
        if told["expanded"] != open || !name.contains("lines as before") {
            return Err(format!("after `{key}`, a screen reader is told {told}"));
        }
    }
    Ok(())
}

fn what_came_and_went_is_told(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    for (element, role, name) in [
        (".diff-lines", "group", "what changed in src/echo.rs"),
        (".diff-lines > ins", "insertion", ""),
        (".diff-lines > del", "deletion", ""),
    ] {
        let told = page.spoken(&format!("document.querySelector('{element}')"))?;
        if told["role"] != role || told["name"] != name {
            return Err(format!("of {element}, a screen reader is told {told}"));
        }
    }
    // Not every screen reader says these roles: the first of several lines has it in words.
    let silent = page.value(
        "[...document.querySelectorAll('.diff-lines > :is(ins, del)')].filter((line) =>
            line.previousElementSibling?.localName !== line.localName
            && !line.textContent.startsWith({ins: 'added: ', del: 'removed: '}[line.localName])
        ).map((line) => line.textContent)",
    )?;
    if silent == json!([]) {
        return Ok(());
    }
    Err(format!("nothing says that these came or went: {silent}"))
}

fn on_paper_every_change_is_there(page: &Page, site: &Site, file: &str) -> Result {
    page.look(Look {
        width: 718,
        print: true,
        ..Look::default()
    })?;
    open(page, site, file)?;
    // A reader may have closed them.
    page.value("document.querySelectorAll('details.diff').forEach((each) => each.open = false)")?;
    none(&page.complaints(
        "(() => {
            const lines = [...document.querySelectorAll('.diff-lines > *')];
            if (!lines.some((line) => line.matches('ins')) || !lines.some((line) => line.matches('del'))) return ['there is no difference'];
            const page = document.documentElement.clientWidth;
            return lines.flatMap((line) => {
                const text = line.textContent.trim().slice(0, 60);
                const box = line.getBoundingClientRect();
                if (!line.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true }) || !box.height) return [`not on paper: ${text}`];
                return box.right > page || line.scrollWidth > line.clientWidth + 1 ? [`cut off: ${text}`] : [];
            });
        })()",
    )?)
}

fn lines_stay_in_their_box(page: &Page, site: &Site, file: &str) -> Result {
    for width in [1280, 380] {
        page.look(Look {
            width,
            ..Look::default()
        })?;
        open(page, site, file)?;
        none(&page.complaints(
            "[...document.querySelectorAll('details.diff')].flatMap((each) => {
                each.open = true;
                const [frame, lines] = [each, each.querySelector('.diff-lines')].map((one) => one.getBoundingClientRect());
                const name = each.querySelector('summary').textContent;
                const wide = [...each.querySelectorAll('.diff-lines > *')].filter((line) => line.offsetWidth > each.querySelector('.diff-lines').scrollWidth);
                const inside = lines.left >= frame.left && lines.right <= frame.right && lines.height > 100 && !wide.length;
                return inside ? [] : [`${name}: ${lines.left} to ${lines.right} in ${frame.left} to ${frame.right}`];
            })",
        )?)?;
    }
    Ok(())
}

fn the_whole_file_is_a_step_away(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    page.value("document.querySelector('details.diff').open = true")?;
    page.click("details.diff a")?;
    let name = format!("chapters/{file}/src/echo.rs");
    page.wait(
        "the page of the file",
        "document.querySelector('.whole-file .hljs-keyword') && document.readyState === 'complete'",
    )?;
    let text = std::fs::read_to_string(here!().root.join(&name))
        .map_err(|error| format!("{name}: {error}"))?;
    if page.value("document.querySelector('.whole-file > code').textContent")? != text {
        return Err(format!("the page shows another text than {name} has"));
    }
    // A line can be pointed to, and is not under the bar at the top.
    let address = page.value("location.href")?;
    let address = address.as_str().unwrap_or_default();
    let last = text.lines().count();
    for line in [last / 2, last] {
        // Not a step within the page: its scripts replace what the address points to.
        page.goto("about:blank")?;
        page.goto(&format!("{address}#L{line}"))?;
        page.wait(
            &format!("line {line} in the middle of all"),
            &format!(
                "(() => {{
                    const line = document.querySelector(':target');
                    const bar = document.querySelector('#mdbook-menu-bar').getBoundingClientRect();
                    const box = line.getBoundingClientRect();
                    return line.id === 'L{line}' && box.top >= bar.bottom && box.bottom <= innerHeight;
                }})()"
            ),
        )?;
    }
    page.click("main p a")?;
    page.wait(
        "the chapter",
        &format!("location.pathname === '/{file}.html'"),
    )?;
    none(&page.errors())
}

fn without_a_server_files_are_there_too(page: &Page, site: &Site, file: &str) -> Result {
    page.goto(&site.file_url(&format!("files/{file}/src/echo.rs.html")))?;
    page.wait(
        "the file, with colours",
        "document.querySelector('.whole-file .hljs-keyword') && document.readyState === 'complete'",
    )?;
    page.wait(
        "the table of contents",
        &format!("document.querySelector('#mdbook-sidebar a[href$=\"../{file}.html\"]')"),
    )?;
    let elsewhere: Vec<String> = page
        .requests()
        .into_iter()
        .filter(|url| !url.starts_with("file://") && !url.starts_with("data:"))
        .collect();
    none(&elsewhere)?;
    none(&page.errors())
}
