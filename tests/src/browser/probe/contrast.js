// Each text in the content against what lies below it, by the rule of WCAG 2.1 AA.
(() => {
    const painter = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
        .getContext("2d", { willReadFrequently: true });
    const known = new Map();
    // A canvas understands every way in which CSS writes a colour.
    const colour = (css) => {
        if (!known.has(css)) {
            painter.clearRect(0, 0, 1, 1);
            painter.fillStyle = css;
            painter.fillRect(0, 0, 1, 1);
            const [r, g, b, a] = painter.getImageData(0, 0, 1, 1).data;
            known.set(css, [r, g, b, a / 255]);
        }
        return known.get(css);
    };
    const over = (top, below) => {
        const mixed = [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
        return [...mixed, 1];
    };
    const luminance = (c) => {
        const [r, g, b] = c.slice(0, 3).map((v) => {
            const part = v / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => {
        const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
        return (light + 0.05) / (dark + 0.05);
    };
    const lineage = (element) => {
        const all = [];
        for (let at = element; at; at = at.parentElement) all.unshift(at);
        return all;
    };
    const below = (element) => {
        let mixed = [255, 255, 255, 1];
        for (const each of lineage(element)) {
            // What an SVG element has below it is what was drawn before it, not a box.
            if (each instanceof SVGElement && each.localName !== "svg") break;
            mixed = over(colour(getComputedStyle(each).backgroundColor), mixed);
        }
        const drawing = element.closest("svg");
        if (drawing) {
            const box = element.getBoundingClientRect();
            const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
            for (const shape of drawing.querySelectorAll("rect, circle, ellipse, polygon, path")) {
                const after = shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING;
                if (!after || shape.closest("defs, marker, clipPath, symbol")) continue;
                const style = getComputedStyle(shape);
                const point = new DOMPoint(x, y).matrixTransform(shape.getScreenCTM().inverse());
                if (!shape.isPointInFill(point) || style.fill === "none" || style.fill.startsWith("url")) continue;
                const [r, g, b, a] = colour(style.fill);
                mixed = over([r, g, b, a * style.fillOpacity * style.opacity], mixed);
            }
        }
        return mixed;
    };
    const name = (element) => lineage(element).slice(-3).map((each) => {
        const classes = [...each.classList].map((word) => `.${word.replace(/[:/].*/, "…")}`);
        return each.localName + (each.id ? `#${each.id}` : classes.join(""));
    }).join(" > ");

    const worst = new Map();
    let texts = 0;
    const judge = (element, style, text, ground, own = 1) => {
        const drawn = element instanceof SVGElement;
        const [r, g, b, a] = colour(drawn ? style.fill : style.color);
        const opacity = lineage(element).reduce((all, each) => all * getComputedStyle(each).opacity, own);
        const found = ratio(over([r, g, b, a * opacity * (drawn ? style.fillOpacity : 1)], ground), ground);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        texts += 1;
        if (found < (large ? 3 : 4.5) - 0.005) {
            const which = name(element);
            if (!worst.has(which) || worst.get(which).found > found) worst.set(which, { found, text });
        }
    };
    const left = (element) => element.closest("script, style, title, desc, [aria-hidden=true], :disabled")
        || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    const main = document.querySelector("main");
    const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || left(element)) continue;
        judge(element, getComputedStyle(element), node.data.trim().slice(0, 30), below(element));
    }
    // What style sheets write, such as the numbers of lines.
    for (const element of main.querySelectorAll("*")) {
        for (const where of ["::before", "::after"]) {
            const style = getComputedStyle(element, where);
            const written = style.content.replace(/"\s*"/g, "");
            if (!written || written === "none" || written === "normal" || left(element)) continue;
            const ground = over(colour(style.backgroundColor), below(element));
            judge(element, style, `${where} ${written}`, ground, style.opacity);
        }
    }
    const sorted = [...worst].sort((one, other) => one[1].found - other[1].found);
    const complaints = sorted.map(([which, { found, text }]) => `${found.toFixed(2)}:1 ${which} "${text}"`);
    return texts ? complaints : ["there is no text"];
})()
