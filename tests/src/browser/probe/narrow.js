// What is wider than the window, and in nothing that scrolls by itself.
(() => {
    const width = document.documentElement.clientWidth;
    const complaints = [];
    if (document.scrollingElement.scrollWidth > width) {
        complaints.push(`the page is ${document.scrollingElement.scrollWidth} wide in a window of ${width}`);
    }
    // Within the text: what lies around it scrolls too, and then the page does.
    const scrolls = (element) => {
        for (let at = element.parentElement; at && at.matches("main *"); at = at.parentElement) {
            if (/auto|scroll|hidden|clip/.test(getComputedStyle(at).overflowX)) return true;
        }
        return false;
    };
    for (const element of document.querySelectorAll("main, main *")) {
        const box = element.getBoundingClientRect();
        if (box.width > 0 && box.right > width + 1 && element.checkVisibility() && !scrolls(element)) {
            const classes = [...element.classList].map((word) => `.${word}`).join("");
            complaints.push(`${element.localName}${classes} ends at ${Math.round(box.right)} of ${width}`);
        }
    }
    return complaints.slice(0, 10);
})()
