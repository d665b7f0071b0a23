//! Recorded runs, stepped through.

use book_tests::browser::{Look, Page, Result, Site, probe};
use serde_json::json;

use super::{THEMES, none, open};

/// The pages with figures, and how many each has at least.
pub(super) const PAGES: [(&str, usize); 7] = [
    ("ch02-scheduler", 2),
    ("ch03-system-events", 1),
    ("ch04-orphans", 2),
    ("ch05-parallelism", 1),
    ("ch06-ownership", 1),
    ("ch07-sleepers", 1),
    ("ch08-mutexes-and-conditions", 2),
];

/// Goes through all steps of all figures of a page, and looks whether the parts of each picture agree.
const AGREE: &str = r"(() => {
    const wrong = [];
    for (const figure of document.querySelectorAll('figure.recording')) {
        const press = (what) => figure.querySelector(`[data-do=${what}]`).click();
        const names = [...figure.querySelectorAll('.recording-task')]
            .sort((a, b) => a.dataset.task - b.dataset.task);
        const items = figure.querySelectorAll('.recording-list li');
        const seen = new Set();
        press('first');
        for (let step = 0; step < items.length; step += 1) {
            const at = `${figure.id}, step ${step}`;
            const said = figure.querySelector('.recording-said').textContent;
            if (Number(figure.dataset.step) !== step) wrong.push(`${at}: shows step ${figure.dataset.step}`);
            if (said !== items[step].textContent) wrong.push(`${at}: says ${said}`);
            if (!figure.querySelector('.recording-acts')) wrong.push(`${at}: nobody does it`);
            const running = [...figure.querySelectorAll('.recording-running li')];
            const tree = names.filter((task) => task.dataset.state === 'running');
            const same = running.map((chip) => chip.dataset.task).sort().join() === tree.map((task) => task.dataset.task).sort().join();
            if (!same) wrong.push(`${at}: tree and lanes do not agree on who runs`);
            for (const chip of figure.querySelectorAll('.recording-queue li')) {
                if (names[chip.dataset.task].dataset.state === 'absent') wrong.push(`${at}: ${chip.textContent} is queued before it is spawned`);
            }
            const line = figure.querySelector('.recording-here');
            if (line) seen.add(line.value);
            press('next');
        }
        if (items.length < 5) wrong.push(`${figure.id} has no more than ${items.length} steps`);
        if (seen.size < 3) wrong.push(`${figure.id} leads to no more than ${seen.size} lines of its program`);
    }
    return wrong.join('\n');
})()";

fn at_least(page: &Page, count: usize) -> Result {
    let there = page.value("document.querySelectorAll('figure.recording').length")?;
    if there.as_u64().is_some_and(|there| there >= count as u64) {
        return Ok(());
    }
    Err(format!("there are {there} figures of {count} at least"))
}

pub(super) fn agree_in_every_step(page: &Page, site: &Site, file: &str, count: usize) -> Result {
    open(page, site, file)?;
    at_least(page, count)?;
    let wrong = page.value(AGREE)?;
    let mut wrong: Vec<String> = wrong
        .as_str()
        .into_iter()
        .flat_map(str::lines)
        .map(str::to_owned)
        .collect();
    wrong.extend(page.errors());
    none(&wrong)
}

/// What the first figure shows: its step, whether the focus is in it, and how many pages were turned.
const STATE: &str = "[Number(document.querySelector('figure.recording').dataset.step), document.activeElement.closest('figure.recording') !== null, history.length]";

pub(super) fn go_by_keyboard(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    let turned = page.value("history.length")?;
    let last = page.value("document.querySelectorAll('figure.recording')[0].querySelectorAll('.recording-list li').length - 1")?;
    // From the place before the figure, as somebody comes who reads.
    page.value(
        "(() => {
            const figure = document.querySelector('figure.recording');
            const places = [...document.querySelectorAll('main a[href], main button, main summary')];
            const before = (place) => place.compareDocumentPosition(figure) & Node.DOCUMENT_POSITION_FOLLOWING;
            places.filter((place) => before(place) && place.checkVisibility({ visibilityProperty: true, opacityProperty: true })).at(-1).focus();
        })()",
    )?;
    // What scrolls is a stop, too, and may lie between.
    for _ in 0..5 {
        page.press("Tab")?;
        if page.value("document.activeElement.closest('figure.recording') !== null")? == true {
            break;
        }
    }
    for (key, step) in [
        ("ArrowRight", json!(1)),
        ("ArrowRight", json!(2)),
        ("ArrowLeft", json!(1)),
        ("End", last.clone()),
        ("ArrowRight", last),
        ("Home", json!(0)),
        ("ArrowLeft", json!(0)),
    ] {
        page.press(key)?;
        let state = page.value(STATE)?;
        if state != json!([step, true, turned]) {
            return Err(format!(
                "after {key} it should be step {step}, with the focus there, on this page: {state}"
            ));
        }
    }
    // The buttons: to the one that leads on, and pressed.
    for _ in 0..10 {
        if page.value("document.activeElement.dataset.do === 'next'")? == true {
            page.press("Enter")?;
            page.press("Enter")?;
            let state = page.value(STATE)?;
            return if state == json!([2, true, turned]) {
                none(&page.errors())
            } else {
                Err(format!("Next, pressed twice, leads to step 2: {state}"))
            };
        }
        page.press("Tab")?;
    }
    Err("Tab does not lead to the button Next".to_owned())
}

pub(super) fn move_only_for_who_likes_it(page: &Page, site: &Site, file: &str) -> Result {
    const PLAY: &str =
        "document.querySelector('figure.recording [data-do=play]').checkVisibility()";
    // In the second step somebody goes from the queue to the place of who runs.
    const STEP: &str = "document.querySelector('figure.recording [data-do=next]').click(), \
                        document.querySelector('figure.recording').getAnimations({ subtree: true }).length > 0";
    let look = |still| Look {
        still,
        ..Look::default()
    };
    for still in [false, true] {
        page.look(look(still))?;
        open(page, site, file)?;
        if page.value(PLAY)? == still {
            return Err(format!(
                "still: {still}, and yet it can be played: {}",
                !still
            ));
        }
        if page.value(STEP)? == still {
            return Err(format!("still: {still}, and a step moves: {}", !still));
        }
    }
    none(&page.errors())
}

/// In every theme, at the step with the most different states.
pub(super) fn have_contrast(page: &Page, site: &Site, file: &str) -> Result {
    const COLOURFUL: &str = "document.querySelectorAll('figure.recording').forEach((figure) => {
        const states = () => new Set([...figure.querySelectorAll('.recording-task')].map((task) => task.dataset.state)).size;
        let best = [0, 0];
        for (const item of figure.querySelectorAll('.recording-list a')) {
            item.click();
            if (states() > best[0]) best = [states(), Number(figure.dataset.step)];
        }
        figure.querySelectorAll('.recording-list a')[best[1]].click();
    })";
    let mut wrong = Vec::new();
    open(page, site, file)?;
    for theme in THEMES {
        page.value(&format!("localStorage.setItem('mdbook-theme', '{theme}')"))?;
        page.reload()?;
        page.value(COLOURFUL)?;
        page.value("document.getAnimations().forEach((each) => each.finish())")?;
        let complaints = page.complaints(probe::CONTRAST)?;
        wrong.extend(
            complaints
                .iter()
                .map(|complaint| format!("{theme}: {complaint}")),
        );
    }
    none(&wrong)
}

/// Without scripts, and on paper, there is the picture of one step, and the list of all.
pub(super) fn are_pictures_too(page: &Page, site: &Site, file: &str) -> Result {
    const SHOWN: &str = "(() => {
        const figure = document.querySelector('figure.recording');
        const seen = (selector) => { const found = figure.querySelector(selector); return found !== null && found.checkVisibility(); };
        return [seen('.recording-task'), seen('.recording-lane li'), seen('.recording-here'), seen('.recording-list li'), seen('.recording-controls button'),
            figure.querySelector('.recording-number').textContent.split(' of ')[0]];
    })()";
    let look = Look {
        scripts: false,
        ..Look::default()
    };
    page.look(look)?;
    open(page, site, file)?;
    let without = page.value(SHOWN)?;
    let step = without[5].clone();
    if without != json!([true, true, true, true, false, step]) || step == "Step 0" {
        return Err(format!(
            "without scripts there is no picture of a step in the middle: {without}"
        ));
    }
    page.look(Look {
        width: 718,
        print: true,
        ..Look::default()
    })?;
    open(page, site, file)?;
    page.value("document.querySelector('figure.recording [data-do=last]').click()")?;
    page.value("dispatchEvent(new Event('beforeprint'))")?;
    let printed = page.value(SHOWN)?;
    if printed != without {
        return Err(format!(
            "on paper it should be as without scripts, {without}, and is {printed}"
        ));
    }
    none(&page.errors())
}
