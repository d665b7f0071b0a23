//! The pages in a real browser, as readers with different eyes, hands and windows meet them.
//!
//! [`EACH_PAGE`] has the table of what holds on every page; each pair is a test, such as `ch02-scheduler::contrast`, and a new
//! page is covered without a word here. Without Chromium nothing of this can be found out, and the run says so.

mod changes;
mod figures;
mod run;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use book_tests::browser::{Book, Browser, Look, Page, Result, Site, find, probe};
use book_tests::here;
use libtest_mimic::{Arguments, Trial};

/// Set where a browser must be there, as in CI.
const REQUIRED: &str = "BOOK_TESTS_NEED_BROWSER";

/// What a page weighs at most, in bytes of all that it loads, unpacked, but for fonts.
const WEIGHT: u64 = 500_000;

/// How long it takes at most until a page that was there before can be read, in milliseconds.
const READABLE: f64 = 1000.0;

/// How often a page is loaded until it is fast enough: a machine that does other things too is no fault of the page.
const LOADS: usize = 10;

/// What mdBook lets a reader choose.
const THEMES: [&str; 5] = ["light", "rust", "coal", "navy", "ayu"];

/// The test that measures time, which no other may run beside.
const MEASURES: &str = "is_readable_within_a_second";

type Check = fn(&Page, &Site, &str) -> Result;

/// What holds on each page.
const EACH_PAGE: [(&str, Check); 8] = [
    ("is_quiet_and_stays_here", is_quiet_and_stays_here),
    ("weighs_little", weighs_little),
    (MEASURES, is_readable_within_a_second),
    ("has_contrast_in_every_theme", has_contrast_in_every_theme),
    ("fits_a_narrow_window", fits_a_narrow_window),
    ("can_be_printed", can_be_printed),
    ("goes_by_keyboard", goes_by_keyboard),
    ("has_order_and_words", has_order_and_words),
];

/// What is tried once.
const ONCE: [(&str, Check, &str); 7] = [
    (
        "figures::go_by_keyboard",
        figures::go_by_keyboard,
        "ch04-orphans",
    ),
    (
        "figures::move_only_for_who_likes_it",
        figures::move_only_for_who_likes_it,
        "ch04-orphans",
    ),
    (
        "figures::are_pictures_too",
        figures::are_pictures_too,
        "ch04-orphans",
    ),
    (
        "without_a_server_buttons_explain",
        run::without_a_server_buttons_explain,
        "ch02-scheduler",
    ),
    (
        "search_finds_and_goes_there",
        search_finds_and_goes_there,
        "introduction",
    ),
    (
        "without_scripts_all_is_there",
        without_scripts_all_is_there,
        "ch02-scheduler",
    ),
    (
        "without_scripts_a_whole_file_is_there",
        without_scripts_all_is_there,
        "files/ch02-scheduler/src/echo.rs",
    ),
];

/// What all tests share.
struct World {
    site: Site,
    /// Started when it is first asked for.
    book: OnceLock<Result<Book>>,
    browser: Arc<Browser>,
    /// Who measures time is alone.
    quiet: RwLock<()>,
    root: PathBuf,
    /// Where pictures of what failed go.
    pictures: PathBuf,
}

impl World {
    fn book(&self) -> Result<&Book> {
        let book = self.book.get_or_init(|| Book::start(&self.root));
        book.as_ref().map_err(Clone::clone)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let Some(program) = find() else {
        eprintln!(
            "NOT TESTED: the pages in a browser: neither Chromium nor Chrome is installed here (Debian: \
             `apt-get install chromium`; macOS: `brew install --cask chromium`; elsewhere, name the program in CHROMIUM)"
        );
        return if env::var_os(REQUIRED).is_some() {
            eprintln!("error: {REQUIRED} is set, so a browser must be there");
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    };
    match trials(&program) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(message) => {
            eprintln!("the tests cannot start: {message}");
            ExitCode::FAILURE
        }
    }
}

fn trials(program: &Path) -> Result<Vec<Trial>> {
    let place = here!();
    let world = Arc::new(World {
        site: Site::start(&place.root)?,
        book: OnceLock::new(),
        browser: Arc::new(Browser::start(program)?),
        quiet: RwLock::new(()),
        root: place.root.clone(),
        pictures: place.target.join("browser"),
    });
    let mut all = Vec::new();
    let mut pages = world.site.pages()?;
    // Of the pages that show whole files, the one that has the most to go wrong.
    pages.push(world.site.heaviest_file()?);
    for file in pages {
        // The whole book on one page is for paper.
        let paper = file == "print";
        for (name, check) in EACH_PAGE {
            if !paper || ["is_quiet_and_stays_here", "can_be_printed"].contains(&name) {
                let (name, file) = (format!("{file}::{name}"), file.clone());
                all.push(trial(&world, name, move |page, world| {
                    check(page, &world.site, &file)
                }));
            }
        }
    }
    for (name, check, file) in ONCE.into_iter().chain(changes::TABLE) {
        all.push(trial(&world, name.to_owned(), move |page, world| {
            check(page, &world.site, file)
        }));
    }
    for (file, count) in figures::PAGES {
        let name = |check: &str| format!("{file}::figures_{check}");
        all.push(trial(
            &world,
            name("agree_in_every_step"),
            move |page, world| figures::agree_in_every_step(page, &world.site, file, count),
        ));
        all.push(trial(&world, name("have_contrast"), move |page, world| {
            figures::have_contrast(page, &world.site, file)
        }));
    }
    for (name, check) in run::TABLE {
        all.push(trial(&world, name.to_owned(), move |page, world| {
            check(page, world.book()?)
        }));
    }
    Ok(all)
}

/// A test with a tab of its own, and a picture of it if it fails.
fn trial(
    world: &Arc<World>,
    name: String,
    check: impl FnOnce(&Page, &World) -> Result + Send + 'static,
) -> Trial {
    let world = Arc::clone(world);
    let picture = format!("{}.png", name.replace("::", "-").replace('/', "-"));
    let alone = name.ends_with(MEASURES);
    Trial::test(name, move || {
        let turn = &world.quiet;
        let _alone = alone.then(|| turn.write().unwrap_or_else(PoisonError::into_inner));
        let _beside = (!alone).then(|| turn.read().unwrap_or_else(PoisonError::into_inner));
        let picture = world.pictures.join(picture);
        let page = world.browser.page()?;
        check(&page, &world).map_err(|wrong| match page.screenshot(&picture) {
            Ok(()) => format!("{wrong}\n(it looks like this: {})", picture.display()),
            Err(error) => format!("{wrong}\n(and there is no picture: {error})"),
        })?;
        Ok(())
    })
}

/// Nothing, or all of what is wrong.
fn none(complaints: &[String]) -> Result {
    match complaints {
        [] => Ok(()),
        some => Err(some.join("\n")),
    }
}

fn open(page: &Page, site: &Site, file: &str) -> Result {
    page.goto(&site.url(&format!("{file}.html")))
}

fn is_quiet_and_stays_here(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    // From top to bottom, for what loads or runs only when it is seen.
    page.value("new Promise((done) => { scrollTo(0, document.body.scrollHeight); requestAnimationFrame(() => requestAnimationFrame(done)); })")?;
    let here = site.url("");
    let requests = page.requests();
    if !requests.iter().any(|url| url.starts_with(&here)) {
        return Err("its requests are not seen".to_owned());
    }
    let mut wrong = page.errors();
    let inside = |url: &String| {
        url.starts_with(&here) || url.starts_with("data:") || url.starts_with("blob:")
    };
    wrong.extend(
        requests
            .into_iter()
            .filter(|url| !inside(url))
            .map(|url| format!("it asks for {url}")),
    );
    none(&wrong)
}

fn weighs_little(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    let mut weights = page.weights();
    weights.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    let sum: u64 = weights.iter().map(|(_, bytes)| bytes).sum();
    if weights.first().is_none_or(|&(_, bytes)| bytes == 0) {
        return Err("what it loads is not seen".to_owned());
    }
    if sum > WEIGHT {
        let lines: Vec<String> = weights
            .iter()
            .map(|(url, bytes)| format!("{bytes:8} {url}"))
            .collect();
        return Err(format!(
            "it weighs {sum} bytes of {WEIGHT}:\n{}",
            lines.join("\n")
        ));
    }
    Ok(())
}

fn is_readable_within_a_second(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    let mut times = Vec::new();
    for _ in 0..LOADS {
        page.reload()?;
        // What was painted, the first time with content, and where its scripts had run.
        let time = page.value(
            "new Promise((done) => requestAnimationFrame(() => setTimeout(() => {
                const loaded = performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd;
                const painted = performance.getEntriesByName('first-contentful-paint')[0];
                done(Math.max(loaded, painted ? painted.startTime : performance.now()));
            })))",
        )?;
        let time = time.as_f64().ok_or("a time is a number")?;
        if time <= READABLE {
            return Ok(());
        }
        times.push(format!("{time:.0}"));
    }
    Err(format!(
        "it took {} ms, of {READABLE} at most",
        times.join(", ")
    ))
}

fn has_contrast_in_every_theme(page: &Page, site: &Site, file: &str) -> Result {
    let mut wrong = Vec::new();
    open(page, site, file)?;
    for theme in THEMES {
        page.value(&format!("localStorage.setItem('mdbook-theme', '{theme}')"))?;
        page.reload()?;
        page.wait(
            &format!("the theme {theme}"),
            &format!("document.documentElement.classList.contains('{theme}')"),
        )?;
        wrong.extend(hard_to_read(page, theme)?);
    }
    // And what a reader gets who has chosen nothing, and whose system is dark.
    page.value("localStorage.clear()")?;
    page.look(Look {
        dark: true,
        ..Look::default()
    })?;
    page.reload()?;
    page.wait(
        "the dark theme",
        "document.documentElement.classList.contains('navy')",
    )?;
    wrong.extend(hard_to_read(page, "the dark system")?);
    none(&wrong)
}

/// What is hard to read in the theme that is on, also of what is folded away.
fn hard_to_read(page: &Page, theme: &str) -> Result<Vec<String>> {
    page.value(
        "(() => {
            for (const each of document.querySelectorAll('main details')) each.open = true;
            // Transitions between colours would be measured halfway.
            for (const each of document.getAnimations()) each.finish();
        })()",
    )?;
    let complaints = page.complaints(probe::CONTRAST)?;
    Ok(complaints
        .iter()
        .map(|complaint| format!("{theme}: {complaint}"))
        .collect())
}

/// The same in each theme, one after the other, by the reader's own choice: what the page shows now stays.
fn hard_to_read_in_every_theme(page: &Page) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for theme in THEMES {
        page.value(&format!(
            "document.getElementById('mdbook-theme-{theme}').click()"
        ))?;
        page.wait(
            &format!("the theme {theme}"),
            &format!("document.documentElement.classList.contains('{theme}')"),
        )?;
        wrong.extend(hard_to_read(page, theme)?);
    }
    Ok(wrong)
}

fn fits_a_narrow_window(page: &Page, site: &Site, file: &str) -> Result {
    page.look(Look {
        width: 380,
        ..Look::default()
    })?;
    open(page, site, file)?;
    none(&page.complaints(probe::NARROW)?)
}

fn can_be_printed(page: &Page, site: &Site, file: &str) -> Result {
    // A4, less the browser's own margins.
    page.look(Look {
        width: 718,
        print: true,
        ..Look::default()
    })?;
    open(page, site, file)?;
    none(&page.complaints(probe::PRINT)?)
}

fn goes_by_keyboard(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    let count = "document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]').length";
    let all = page.value(count)?.as_u64().unwrap_or_default();
    let mut wrong = Vec::new();
    let mut inside = 0;
    for _ in 0..=all {
        page.press("Tab")?;
        if page.value("document.activeElement.closest('main') !== null")? == true {
            inside += 1;
            wrong.extend(page.complaints(probe::FOCUS)?);
        } else if inside > 0 || page.value("document.activeElement === document.body")? == true {
            break;
        }
        if inside == 40 {
            break;
        }
    }
    if inside == 0
        && page
            .value("document.querySelector('main a[href], main button, main summary') !== null")?
            == true
    {
        wrong.push(format!("{all} times Tab does not lead into the text"));
    }
    wrong.sort();
    wrong.dedup();
    none(&wrong)
}

fn has_order_and_words(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    none(&page.complaints(probe::STRUCTURE)?)
}

fn search_finds_and_goes_there(page: &Page, site: &Site, file: &str) -> Result {
    open(page, site, file)?;
    if page
        .requests()
        .iter()
        .any(|url| url.contains("searchindex"))
    {
        return Err("the index is loaded before anybody searches".to_owned());
    }
    page.press("/")?;
    page.wait(
        "the search bar",
        "document.activeElement.id === 'mdbook-searchbar'",
    )?;
    // A key that is released is what it waits for.
    page.enter("wake")?;
    page.press("r")?;
    page.wait(
        "a result",
        "document.querySelector('#mdbook-searchresults a')",
    )?;
    let first = page.value("document.querySelector('#mdbook-searchresults a').pathname")?;
    page.press("Enter")?;
    page.wait(
        "the page of the first result",
        &format!("location.pathname === {first}"),
    )?;
    page.wait(
        "the word in the page",
        "document.querySelector('main mark')",
    )?;
    none(&page.errors())
}

fn without_scripts_all_is_there(page: &Page, site: &Site, file: &str) -> Result {
    page.look(Look {
        scripts: false,
        ..Look::default()
    })?;
    open(page, site, file)?;
    let mut wrong = page.complaints(probe::CONTRAST)?;
    wrong.extend(page.complaints(probe::NARROW)?);
    none(&wrong)
}
