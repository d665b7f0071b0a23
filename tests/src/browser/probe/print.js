// What paper cannot show.
(() => {
    const shown = (element) => element.getClientRects().length > 0
        && element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    const complaints = [];
    const acts = "button, input, select, textarea, nav a, iframe, [role=slider], [role=button], [contenteditable=true]";
    for (const element of document.querySelectorAll(acts)) {
        if (shown(element)) {
            const classes = [...element.classList].map((word) => `.${word}`).join("");
            complaints.push(`${element.localName}${element.id && `#${element.id}`}${classes} is on paper`);
        }
    }
    for (const code of document.querySelectorAll("main pre, main pre > code")) {
        if (code.scrollWidth > code.clientWidth + 1 && shown(code)) {
            const longest = code.textContent.split("\n").sort((a, b) => b.length - a.length)[0];
            complaints.push(`code is cut off at the right, such as: ${longest.slice(0, 120)}`);
        }
    }
    for (const folded of document.querySelectorAll("main details > :not(summary)")) {
        // What is left out of paper by itself is not what the fold hides.
        if (!shown(folded) && getComputedStyle(folded).display !== "none") complaints.push(`folded away on paper: ${folded.textContent.trim().slice(0, 60)}`);
    }
    return [...new Set(complaints)].slice(0, 10);
})()
