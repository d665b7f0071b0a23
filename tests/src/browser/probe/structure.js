// What a reader who listens to the page would miss.
(() => {
    const complaints = [];
    const ids = new Map();
    for (const { id } of document.querySelectorAll("[id]")) ids.set(id, (ids.get(id) ?? 0) + 1);
    for (const [id, count] of ids) {
        if (count > 1) complaints.push(`the id ${id} stands on ${count} elements`);
    }
    let before = 0;
    for (const heading of document.querySelectorAll("main :is(h1, h2, h3, h4, h5, h6)")) {
        const level = Number(heading.localName[1]);
        const text = heading.textContent.trim();
        if (level > before + 1) complaints.push(`${heading.localName} "${text}" follows h${before}`);
        if (!text) complaints.push(`an empty ${heading.localName}`);
        before = level;
    }
    if (!document.querySelector("main h1")) complaints.push("there is no h1");
    for (const image of document.querySelectorAll("main img")) {
        if (!image.hasAttribute("alt")) complaints.push(`no alt: ${image.src}`);
    }
    const named = (element) => {
        const by = (element.getAttribute("aria-labelledby") ?? "").split(" ");
        const said = by.map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
        return (element.getAttribute("aria-label") ?? said).trim() || element.querySelector(":scope > title")?.textContent;
    };
    for (const drawing of document.querySelectorAll("main figure svg")) {
        if (drawing.closest("[aria-hidden=true]")) continue;
        if (drawing.getAttribute("role") !== "img" || !named(drawing)) {
            complaints.push(`a drawing without words: ${drawing.closest("figure").textContent.trim().slice(0, 60)}`);
        }
    }
    for (const control of document.querySelectorAll("main :is(button, [role=button])")) {
        if (!(named(control) || control.textContent.trim() || control.title)) {
            complaints.push(`a button without words: ${control.className}`);
        }
    }
    return complaints;
})()
