// What is wrong with the element that has the focus, as seen by a reader who has no mouse.
(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return ["the focus is nowhere"];
    const classes = [...element.classList].map((word) => `.${word}`).join("");
    const name = element.localName + (element.id ? `#${element.id}` : classes);
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const complaints = [];
    if (box.width < 1 || box.height < 1 || !element.checkVisibility({ visibilityProperty: true })) {
        complaints.push(`${name} has the focus and cannot be seen`);
    }
    const outline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    if (!outline && style.boxShadow === "none") {
        complaints.push(`${name} does not show that it has the focus`);
    }
    return complaints;
})()
