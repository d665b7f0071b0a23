//! A page's chapter, and the one before it.

use crate::chapter::{Chapter, chapters};

use super::Place;

/// The chapter before that of the page, and that of the page.
pub(super) fn pair(place: &Place<'_>) -> Result<(Chapter, Chapter), String> {
    let cannot = |error: std::io::Error| format!("the chapters cannot be read: {error}");
    let page = place.page.file_stem().unwrap_or_default().to_string_lossy();
    let names = chapters(place.root).map_err(cannot)?;
    let at = names.iter().position(|name| *name == page);
    let Some(before) = at.and_then(|at| at.checked_sub(1)) else {
        return Err(format!(
            "chapters/ has no `{page}` with one before it, and a chapter's page has the name of its crate"
        ));
    };
    let read = |name: &str| Chapter::read(place.root, name).map_err(cannot);
    Ok((read(&names[before])?, read(&page)?))
}

/// `3` of `ch03-system-events`.
pub(super) fn number(chapter: &Chapter) -> &str {
    let number = chapter.name.split('-').next().unwrap_or_default();
    number.trim_start_matches("ch").trim_start_matches('0')
}
