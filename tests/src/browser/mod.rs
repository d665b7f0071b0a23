//! The book in a real browser.
//!
//! A slim client of the [DevTools protocol](https://chromedevtools.github.io/devtools-protocol/), over the two pipes of
//! `--remote-debugging-pipe`: no port on which others could give the browser orders, no crate to compile, and a browser
//! that ends when the pipe closes, even if this program is killed. [`Browser`] is the process, [`Page`] a tab with a profile of its own,
//! [`Site`] the static build behind a small web server, [`Book`] a running `cargo book`.

mod book;
mod chromium;
mod page;
mod site;

pub use self::book::Book;
pub use chromium::{Browser, PATIENCE, find};
pub use page::{Look, Page};
pub use site::Site;

/// What went wrong, in words.
pub type Result<T = ()> = std::result::Result<T, String>;

/// What is looked for inside a page: each script is an expression, whose value is a list of complaints.
pub mod probe {
    /// Text that is hard to read on its background.
    pub const CONTRAST: &str = include_str!("probe/contrast.js");
    /// Where the keyboard's focus is, and whether it can be seen.
    pub const FOCUS: &str = include_str!("probe/focus.js");
    /// What makes the page itself scroll sideways.
    pub const NARROW: &str = include_str!("probe/narrow.js");
    /// What paper cannot show: buttons, and code that is cut off.
    pub const PRINT: &str = include_str!("probe/print.js");
    /// Headings out of order, pictures without words, ids given twice.
    pub const STRUCTURE: &str = include_str!("probe/structure.js");
}
