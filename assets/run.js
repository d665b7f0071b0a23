// Run, Edit, Stop and Reset of the blocks, and the client in the page.
//
// Names that tests may rely on. After each `pre` with Rust: `.run-tools` with `button[data-do=run|stop|edit|hidden|reset]` and `.run-hint`; a `pre`
// that is edited has `.run-editing` and `textarea.run-editor`. A console block's tools have `button[data-do=start]`. After the tools, once there is something
// to say: `.run-notice`, and `.run-panel[data-state=running|ended]` with `.run-warning`, `.run-out` (in it `.run-stdout`, `.run-stderr`, `.run-note`, `.run-message`,
// and links to lines `.run-goto[data-line]`) and `.run-end[data-expected=true|false|null][data-how]`. A server's panel also has `.run-address`,
// `button[data-do=client]` and `.run-client` (`.run-talk`, `.run-wait`, `input`, `button[data-do=say|finish|close]`).
(() => {
  "use strict";

  const OURS = new Set(["hljs", "rust", "language-rust", "hide-boring"]);
  const SANDBOX = "This runs on your machine, as you, and may do all that you may. It is not a sandbox: know what you run.";
  // A browser keeps six connections to one server. One is for the reloading, one stays free for Stop and for what clients say.
  const STREAMS = 4;
  const CLIENTS = 8;

  // The page, and what the reader's browser keeps

  const file = location.pathname.split("/").pop() || "index.html";
  const folder = location.pathname.slice(0, location.pathname.lastIndexOf("/") + 1);
  const page = (() => {
    const stem = file.replace(/\.html$/, "");
    // The first page of the book is served under two names.
    return stem === "index" ? "introduction" : stem;
  })();
  const KEY = `book-edit:${folder}${page}:`;

  let tokenHere = null;
  let storageFailed = false;

  function takeToken() {
    const found = /^#token=([0-9a-f]{64})$/.exec(location.hash);
    if (!found) return;
    tokenHere = found[1];
    try {
      localStorage.setItem("book-token", tokenHere);
    } catch (_) {
      // It is good for as long as this page is open.
    }
    history.replaceState(history.state, "", location.pathname + location.search);
  }

  function token() {
    try {
      return localStorage.getItem("book-token") || tokenHere;
    } catch (_) {
      return tokenHere;
    }
  }

  takeToken();
  addEventListener("hashchange", takeToken);
  // All pages in one are for paper.
  if (file === "print.html") return;

  /** A number that tells texts apart (FNV-1a). */
  function hash(text) {
    let value = 0x811c9dc5;
    for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
    return (value >>> 0).toString(16) + "-" + text.length.toString(16);
  }

  function element(name, kind, text) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function button(what, text, act) {
    const made = element("button", "run-button", text);
    made.type = "button";
    made.dataset.do = what;
    made.addEventListener("click", act);
    return made;
  }

  const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  /** Keys that mean something to a field must not turn the page. */
  const keepKeys = (field) => field.addEventListener("keydown", (event) => event.stopPropagation());

  // Talking to the runner

  /** What a request came to nothing by, as a sentence for the reader. */
  class Refusal extends Error {}

  const hasRunner = () => document.querySelector('script[src^="/__book/reload.js"]') !== null;

  async function post(path, body, signal) {
    if (!hasRunner()) {
      throw new Refusal(
        "Nothing runs code behind this page. In a clone of the book's repository type `cargo book`, and open the address that it prints: " +
          "there this button compiles and runs the block on your machine, with the book's own crates.",
      );
    }
    const open = "Open the address that `cargo book` printed in its terminal, the whole of it with what follows the #, and come back to this page.";
    if (!token()) throw new Refusal(`This browser has no key to the running \`cargo book\`. ${open}`);
    let response;
    try {
      response = await fetch(`/__book/${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Book-Token": token() },
        body: JSON.stringify(body),
        signal,
        cache: "no-store",
      });
    } catch (error) {
      if (signal && signal.aborted) throw error;
      throw new Refusal("`cargo book` does not answer: it has ended, or was started anew elsewhere. Start it again in its terminal.");
    }
    if (response.ok) return response;
    const text = (await response.text().catch(() => "")).trim().slice(0, 1000);
    if (response.status === 403) throw new Refusal(`The running \`cargo book\` does not know this page's key. ${open}${text && ` (It says: ${text})`}`);
    if (response.status === 429) throw new Refusal(text || "Too much runs at once. Stop something, or wait until it has ended.");
    throw new Refusal(text || `\`cargo book\` answered with ${response.status}.`);
  }

  const streams = new Set();

  /** Posts, and calls `each` with the events of every chunk of the answer. */
  async function stream(path, body, abort, each) {
    if (streams.size >= STREAMS) {
      throw new Refusal(`A browser keeps only a few connections to one server, and this page uses ${streams.size}. Stop a run first.`);
    }
    streams.add(abort);
    try {
      const response = await post(path, body, abort.signal);
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        let chunk;
        try {
          chunk = await reader.read();
        } catch (error) {
          if (abort.signal.aborted) throw error;
          break;
        }
        rest += chunk.done ? decoder.decode() : decoder.decode(chunk.value, { stream: true });
        const lines = rest.split("\n");
        rest = lines.pop();
        const events = [];
        for (const line of lines) {
          if (!line.trim()) continue;
          try {
            events.push(JSON.parse(line));
          } catch (_) {
            throw new Refusal("`cargo book` answered something that this page does not understand. Reload the page.");
          }
        }
        if (events.length) each(events);
        if (events.some((event) => event.is === "end")) return;
        if (chunk.done) break;
      }
      throw new Refusal("The connection to `cargo book` broke before the end. If it was stopped, start it again in its terminal.");
    } finally {
      streams.delete(abort);
      // After a refusal half-way, nobody reads the rest.
      abort.abort();
    }
  }

  addEventListener("pagehide", () => {
    for (const abort of streams) abort.abort();
  });

  // What programs and the compiler print

  const ESCAPES = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]/g;
  const UNFINISHED = /\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?)?$/;
  const PLACE = /(?:^|(?<=[\s(]))(?:\S*\/)?block\.rs:(\d+)(?::\d+)?/g;

  /** Turns text with ANSI colours into spans; what else a terminal would obey is left out. */
  class Colours {
    constructor(go) {
      this.go = go;
      this.rest = "";
      this.reset();
    }

    reset() {
      this.colour = null;
      this.bold = false;
      this.underline = false;
    }

    write(to, chunk) {
      let text = this.rest + chunk;
      const cut = UNFINISHED.exec(text);
      this.rest = cut && cut[0].length < 4096 ? cut[0] : "";
      text = text.slice(0, text.length - this.rest.length);
      let done = 0;
      for (const escape of text.matchAll(ESCAPES)) {
        this.piece(to, text.slice(done, escape.index));
        done = escape.index + escape[0].length;
        if (escape[1] !== undefined) this.select(escape[1]);
      }
      this.piece(to, text.slice(done));
    }

    select(codes) {
      const list = codes.split(/[;:]/).map(Number);
      for (let at = 0; at < list.length; at++) {
        const code = list[at];
        if (code === 0) this.reset();
        else if (code === 1) this.bold = true;
        else if (code === 4) this.underline = true;
        else if (code === 22) this.bold = false;
        else if (code === 24) this.underline = false;
        else if (code >= 30 && code <= 37) this.colour = code - 30;
        else if (code >= 90 && code <= 97) this.colour = code - 90;
        else if (code === 39) this.colour = null;
        else if (code === 38 || code === 48) {
          const indexed = list[at + 1] === 5;
          if (indexed && code === 38) this.colour = list[at + 2] < 16 ? list[at + 2] % 8 : null;
          at += indexed ? 2 : 4;
        }
      }
    }

    piece(to, text) {
      if (!text) return;
      let into = to;
      // Black and white are the page's own.
      const hue = this.colour !== null && this.colour > 0 && this.colour < 7;
      if (hue || this.bold || this.underline) {
        into = to.appendChild(element("span"));
        if (hue) into.classList.add(`run-colour-${this.colour}`);
        if (this.bold) into.classList.add("run-bold");
        if (this.underline) into.classList.add("run-underline");
      }
      let done = 0;
      for (const place of this.go ? text.matchAll(PLACE) : []) {
        into.append(text.slice(done, place.index), goto(place[0], Number(place[1]), this.go));
        done = place.index + place[0].length;
      }
      into.append(text.slice(done));
    }
  }

  function goto(text, line, go) {
    const made = element("button", "run-goto", text);
    made.type = "button";
    made.dataset.line = line;
    made.title = `Go to line ${line} in the editor`;
    made.addEventListener("click", () => go(line));
    return made;
  }

  let warned = false;

  /** Where a block's output goes; made when there is some. */
  class Panel {
    constructor(after, go) {
      this.go = go;
      this.root = element("div", "run-panel");
      this.head = this.root.appendChild(element("div", "run-head"));
      this.out = element("div", "run-out");
      this.out.tabIndex = 0;
      this.out.setAttribute("role", "region");
      this.out.setAttribute("aria-label", "Output");
      keepKeys(this.out);
      this.out.hidden = true;
      this.last = element("p", "run-end");
      this.last.setAttribute("role", "status");
      this.root.append(this.out, this.last);
      after.after(this.root);
    }

    start() {
      this.began = performance.now();
      this.root.dataset.state = "running";
      this.root.classList.remove("run-printed");
      this.head.replaceChildren();
      this.out.replaceChildren();
      this.out.hidden = true;
      this.last.replaceChildren("running …");
      delete this.last.dataset.expected;
      delete this.last.dataset.how;
      this.segment = null;
      this.colours = { out: new Colours(null), err: new Colours(this.go) };
      if (!warned && hasRunner()) {
        warned = true;
        this.head.append(element("p", "run-warning", SANDBOX));
      }
    }

    /** Adds to what is shown, and stays at the end unless the reader has scrolled up. */
    show(events) {
      const atEnd = this.out.scrollTop + this.out.clientHeight >= this.out.scrollHeight - 8;
      for (const event of events) this.one(event);
      this.out.hidden = !this.out.hasChildNodes();
      if (atEnd) this.out.scrollTop = this.out.scrollHeight;
    }

    one(event) {
      switch (event.is) {
        case "note":
          this.add("run-note", String(event.text));
          break;
        case "message": {
          const to = this.add("run-message");
          to.dataset.level = event.level;
          new Colours(this.go).write(to, String(event.text).replace(/\n*$/, ""));
          if (this.go && event.line && !to.querySelector(".run-goto")) to.append(" ", goto(`line ${event.line}`, event.line, this.go));
          this.root.classList.add("run-printed");
          break;
        }
        case "compiled":
          this.add("run-note", `compiled in ${seconds(event.ms)}`);
          break;
        case "out":
        case "err": {
          const kind = event.is === "out" ? "run-stdout" : "run-stderr";
          if (!this.segment || !this.segment.classList.contains(kind)) {
            this.segment = this.out.appendChild(element("div", kind));
            if (event.is === "err") this.segment.append(element("span", "run-spoken", "standard error: "));
          }
          this.colours[event.is].write(this.segment, String(event.text));
          this.root.classList.add("run-printed");
          break;
        }
      }
    }

    add(kind, text) {
      this.segment = null;
      return this.out.appendChild(element("div", kind, text));
    }

    end(text, expected, how) {
      this.root.dataset.state = "ended";
      this.last.dataset.expected = String(expected);
      this.last.dataset.how = how;
      const mark = element("span", "run-mark", expected === true ? "✓" : expected === false ? "✗" : "•");
      mark.setAttribute("aria-hidden", "true");
      const judged = element("span", "run-spoken", expected === true ? "As expected: " : expected === false ? "Not as expected: " : "");
      const sentence = element("span", "run-sentence");
      // The sentences quote commands as Markdown does.
      text.split("`").forEach((part, at) => sentence.append(at % 2 ? element("code", "", part) : part));
      this.last.replaceChildren(mark, judged, sentence);
      if (how !== "refused") this.last.append(element("span", "run-took", seconds(performance.now() - this.began)));
    }
  }

  /** One thing that runs, in its panel: a block, or a server. */
  class Run {
    constructor(panel, path, body, more) {
      this.abort = new AbortController();
      this.id = null;
      this.done = this.go(panel, path, body, more || (() => {}));
    }

    async go(panel, path, body, more) {
      panel.start();
      let ended = false;
      const late = setTimeout(() => {
        if (this.id !== null || this.replaced || panel.root.dataset.state !== "running") return;
        panel.show([{ is: "note", text: "No answer yet. Other tabs of this book may use all connections that the browser keeps to one server." }]);
      }, 4000);
      try {
        await stream(path, body, this.abort, (events) => {
          if (this.replaced) return;
          for (const event of events) if (event.is === "start") this.id = event.run;
          panel.show(events);
          events.forEach(more);
          const end = events.find((event) => event.is === "end");
          if (end) {
            ended = true;
            panel.end(String(end.text || end.how), end.expected === undefined ? null : end.expected, end.how);
          }
        });
      } catch (error) {
        if (this.replaced || ended) return;
        if (error instanceof Refusal) panel.end(error.message, null, "refused");
        else panel.end(this.stopping ? "stopped" : "stopped, because the page was left", null, "stopped");
      } finally {
        clearTimeout(late);
      }
    }

    /** Ends it as the reader wishes; by hanging up, if the runner does not do it soon. */
    async stop() {
      if (this.stopping) return;
      this.stopping = true;
      const hangUp = setTimeout(() => this.abort.abort(), 3000);
      try {
        if (this.id === null) this.abort.abort();
        else await post("stop", { run: this.id });
      } catch (_) {
        this.abort.abort();
      }
      await this.done;
      clearTimeout(hangUp);
    }

    /** Ends it because another takes its place. */
    replace() {
      this.replaced = true;
      this.abort.abort();
    }
  }

  /** Shows or hides a button without losing the focus that it had. */
  function swap(hide, show) {
    const focused = hide.contains(document.activeElement);
    show.hidden = false;
    if (focused) show.focus({ preventScroll: true });
    hide.hidden = true;
  }

  // A Rust block

  function hintOf(words) {
    const excerpt = words.find((word) => word.startsWith("chapters/"));
    if (excerpt) {
      const [path] = excerpt.split(":");
      const example = /\/examples\/([\w-]+)\.rs$/.exec(path);
      if (example) return `Run: the example ${example[1]}, with your version`;
      return path.includes("/examples/") ? "Run: its examples, with your version" : "Run: its chapter's tests, with your version";
    }
    if (words.includes("should_panic")) return "expected: a panic";
    if (words.includes("compile_fail")) {
      const code = words.find((word) => /^E\d{4}$/.test(word));
      return `expected: does not compile${code ? ` (${code})` : ""}`;
    }
    if (words.includes("no_run")) return "Run: only compiles it";
    const limit = words.find((word) => /^timeout=\d+$/.test(word));
    return limit ? `stopped after ${limit.slice(8)} s` : "";
  }

  class Block {
    constructor(code, index, occurrences) {
      this.code = code;
      this.pre = code.parentElement;
      this.words = [...code.classList].filter((word) => !OURS.has(word));
      this.original = code.textContent;
      this.text = this.original;
      this.index = index;
      const mark = hash(this.original);
      const before = occurrences.get(mark) || 0;
      occurrences.set(mark, before + 1);
      this.key = `${KEY}${mark}${before ? `.${before}` : ""}`;
      this.panel = null;
      this.running = null;
      this.area = null;

      this.tools = element("div", "run-tools");
      this.run = button("run", "Run", () => this.start());
      this.stop = button("stop", "Stop", () => this.running && this.running.stop());
      this.edit = button("edit", "Edit", () => (this.area ? this.close() : this.open()));
      this.reset = button("reset", "Reset", () => this.back());
      this.edit.setAttribute("aria-expanded", "false");
      this.stop.hidden = this.reset.hidden = true;
      const hint = element("span", "run-hint", hintOf(this.words));
      if (hint.textContent) {
        hint.title = hint.textContent;
        hint.id = `run-hint-${index}`;
        this.run.setAttribute("aria-describedby", hint.id);
      }
      this.tools.append(hint, this.reset, this.edit, this.run, this.stop);
      this.pre.after(this.tools);
    }

    // The code, shown

    /** The hidden lines at the beginning and at the end, while they are as they were. */
    hidden() {
      if (this.ends === undefined) {
        let lines = this.originalNodes().map((node) => [node.nodeType === 1 && node.classList.contains("boring"), node.textContent]);
        lines = lines.filter(([, text]) => text);
        let head = 0;
        while (head < lines.length && lines[head][0]) head++;
        let tail = lines.length;
        while (tail > head && lines[tail - 1][0]) tail--;
        const join = (from, to) => lines.slice(from, to).map(([, text]) => text).join("");
        const hidden = this.code.querySelectorAll(".boring").length;
        // One in the middle, or inside what the highlighter has made.
        const elsewhere = hidden !== head + lines.length - tail;
        this.ends = elsewhere || head === lines.length ? ["", ""] : [join(0, head), join(tail)];
        this.anyHidden = hidden > 0;
      }
      const [head, tail] = this.ends;
      const kept = head.length + tail.length <= this.text.length && this.text.startsWith(head) && this.text.endsWith(tail);
      return kept ? this.ends : ["", ""];
    }

    originalNodes() {
      if (!this.nodes) this.nodes = [...this.code.childNodes].map((node) => node.cloneNode(true));
      return this.nodes;
    }

    hides() {
      return this.code.classList.contains("hide-boring");
    }

    /** Shows the text as it is now, in colours. */
    paint() {
      const nodes = this.originalNodes();
      if (this.text === this.original && !this.area) {
        this.code.replaceChildren(...nodes.map((node) => node.cloneNode(true)));
      } else {
        const [head, tail] = this.hidden();
        const parts = [];
        if (head) parts.push(element("span", "boring", head));
        parts.push(document.createTextNode(this.text.slice(head.length, this.text.length - tail.length)));
        if (tail) parts.push(element("span", "boring", tail));
        this.code.replaceChildren(...parts);
        if (window.hljs && hljs.highlightBlock) hljs.highlightBlock(this.code);
      }
      this.reset.hidden = this.text === this.original;
    }

    /** Takes a text from somewhere else than this editor. */
    set(text) {
      this.originalNodes();
      this.text = text;
      this.paint();
      if (this.area) this.fill();
    }

    // The editor

    open() {
      if (this.area) return;
      this.originalNodes();
      this.hidden();
      const area = element("textarea", "run-editor");
      this.area = area;
      area.wrap = "off";
      area.spellcheck = false;
      area.setAttribute("autocapitalize", "off");
      area.setAttribute("autocomplete", "off");
      area.setAttribute("autocorrect", "off");
      area.setAttribute("aria-label", "Edit the code");
      area.addEventListener("input", () => this.typed());
      area.addEventListener("keydown", (event) => this.keys(event));
      area.addEventListener("blur", () => this.save());
      area.addEventListener("scroll", () => {
        this.code.scrollLeft = area.scrollLeft;
      });
      this.keysHint = element("p", "run-keys", `${/Mac/.test(navigator.platform) ? "Cmd" : "Ctrl"}+Enter runs. Tab indents; Escape, then Tab, leaves the editor.`);
      this.keysHint.id = `run-keys-${this.index}`;
      area.setAttribute("aria-describedby", this.keysHint.id);
      this.pre.classList.add("run-editing");
      // Hidden lines in the middle of what is edited would be lost track of, so they are shown.
      if (this.anyHidden && this.hides() && !this.ends[0] && !this.ends[1]) this.toggleHidden();
      this.code.after(area);
      this.tools.after(this.keysHint);
      this.edit.textContent = "Done";
      this.edit.setAttribute("aria-expanded", "true");
      if (this.anyHidden && !this.hiddenButton) {
        this.hiddenButton = button("hidden", "", () => this.toggleHidden());
        this.edit.before(this.hiddenButton);
        // mdBook has a button of its own for this.
        new MutationObserver(() => this.hiding()).observe(this.code, { attributeFilter: ["class"] });
      }
      if (this.hiddenButton) this.hiddenButton.hidden = false;
      this.wasHiding = null;
      this.paint();
      this.hiding();
      area.focus({ preventScroll: true });
      area.setSelectionRange(0, 0);
    }

    close() {
      this.save();
      this.area.remove();
      this.area = null;
      this.keysHint.remove();
      this.pre.classList.remove("run-editing");
      this.edit.textContent = "Edit";
      this.edit.setAttribute("aria-expanded", "false");
      if (this.hiddenButton) this.hiddenButton.hidden = true;
      this.paint();
    }

    toggleHidden() {
      const eye = this.pre.querySelector(".buttons button[title$='lines']");
      if (eye) eye.click();
      else this.code.classList.toggle("hide-boring");
      this.hiding();
    }

    /** Follows the showing of hidden lines. */
    hiding() {
      if (!this.area || this.wasHiding === this.hides()) return;
      this.wasHiding = this.hides();
      if (this.hiddenButton) this.hiddenButton.textContent = this.hides() ? "Show hidden lines" : "Hide hidden lines";
      this.fill();
    }

    /** The text before and after what the editor shows. */
    around() {
      return this.hides() ? this.hidden() : ["", ""];
    }

    fill() {
      const [head, tail] = this.around();
      this.outside = [head, tail];
      const inner = this.text.slice(head.length, this.text.length - tail.length);
      // The last line's end belongs to the block, not to the reader's last line.
      this.outside[1] = inner.endsWith("\n") ? `\n${tail}` : tail;
      this.area.value = inner.replace(/\n$/, "");
    }

    typed() {
      this.text = this.outside[0] + this.area.value + this.outside[1];
      this.paint();
      this.code.scrollLeft = this.area.scrollLeft;
      clearTimeout(this.saving);
      this.saving = setTimeout(() => this.save(), 250);
    }

    /** Replaces a range of the editor so that the browser's own undo knows of it. */
    insert(text, from, to) {
      const area = this.area;
      area.setSelectionRange(from, to);
      if (!document.execCommand(text ? "insertText" : "delete", false, text)) {
        area.setRangeText(text, from, to, "end");
        this.typed();
      }
    }

    keys(event) {
      event.stopPropagation();
      const area = this.area;
      if (event.isComposing) return;
      const leaving = this.leaving;
      if (event.key !== "Shift") this.leaving = event.key === "Escape";
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.start();
      } else if (event.ctrlKey || event.metaKey || event.altKey) {
        return;
      } else if (event.key === "Tab" && !leaving) {
        event.preventDefault();
        this.indent(event.shiftKey);
      } else if (event.key === "Enter") {
        event.preventDefault();
        const { selectionStart: from, selectionEnd: to, value } = area;
        const line = value.slice(value.lastIndexOf("\n", from - 1) + 1, from);
        const opens = /[{([]\s*$/.test(line) ? "    " : "";
        this.insert(`\n${/^ */.exec(line)[0]}${opens}`, from, to);
      }
    }

    indent(less) {
      const area = this.area;
      const { selectionStart: from, selectionEnd: to, value } = area;
      if (!less && !value.slice(from, to).includes("\n")) {
        this.insert("    ", from, to);
        return;
      }
      const begin = value.lastIndexOf("\n", from - 1) + 1;
      const lines = value.slice(begin, to).split("\n");
      const moved = lines.map((line) => (less ? line.replace(/^ {1,4}/, "") : line && `    ${line}`));
      if (moved.join("\n") === lines.join("\n")) return;
      const first = moved[0].length - lines[0].length;
      this.insert(moved.join("\n"), begin, to);
      const end = begin + moved.join("\n").length;
      area.setSelectionRange(lines.length > 1 ? begin : Math.max(begin, from + first), end);
    }

    /** Puts the cursor into a line of the whole block. */
    goto(line) {
      this.open();
      let before = this.outside[0].split("\n").length - 1;
      const shown = this.area.value.split("\n").length;
      if ((line <= before || line > before + shown) && this.hides()) {
        this.toggleHidden();
        before = 0;
      }
      const lines = this.area.value.split("\n");
      const row = Math.min(Math.max(line - before, 1), lines.length);
      const at = lines.slice(0, row - 1).join("\n").length + (row > 1 ? 1 : 0);
      this.area.focus({ preventScroll: true });
      this.area.setSelectionRange(at, at + lines[row - 1].length);
      const height = parseFloat(getComputedStyle(this.area).lineHeight) || 20;
      const y = this.area.getBoundingClientRect().top + row * height;
      if (y < 80 || y > innerHeight - 40) scrollBy({ top: y - innerHeight / 3, behavior: still.matches ? "auto" : "smooth" });
    }

    // Edits are kept

    save() {
      clearTimeout(this.saving);
      if (this.saved === this.text || (this.saved === undefined && this.text === this.original)) return;
      this.saved = this.text;
      try {
        if (this.text === this.original) localStorage.removeItem(this.key);
        else localStorage.setItem(this.key, JSON.stringify({ text: this.text, words: this.words, index: this.index }));
      } catch (_) {
        if (storageFailed) return;
        storageFailed = true;
        this.notice("Your browser does not let this page keep your edits: no room, or not allowed. They last until you leave the page.", []);
      }
    }

    back() {
      const edited = this.text;
      this.set(this.original);
      this.save();
      this.edit.focus({ preventScroll: true });
      this.notice("The block is as it was.", [
        [
          "Bring my edit back",
          () => {
            this.set(edited);
            this.save();
          },
        ],
      ]);
    }

    /** Says something about the block's text, with buttons that answer it. */
    notice(text, answers) {
      if (this.said) this.said.remove();
      const said = element("p", "run-notice", `${text} `);
      said.setAttribute("role", "status");
      this.said = said;
      for (const [label, act] of [...answers, ["Close", () => {}]]) {
        said.append(
          button("answer", label, () => {
            said.remove();
            act();
            this.edit.focus({ preventScroll: true });
          }),
          " ",
        );
      }
      (this.area ? this.keysHint : this.tools).after(said);
    }

    /** Another tab has another text. */
    elsewhere(text) {
      if (text === this.text) return;
      const busy = this.area && document.activeElement === this.area && document.hasFocus() && !document.hidden;
      if (!busy) {
        clearTimeout(this.saving);
        this.saved = text;
        this.set(text);
        return;
      }
      this.notice("This block was changed in another tab as well.", [
        [
          "Take that version",
          () => {
            this.set(text);
            this.save();
          },
        ],
      ]);
      this.saved = null;
    }

    // Running

    start() {
      this.save();
      if (this.running) this.running.replace();
      if (!this.panel) this.panel = new Panel(this.area ? this.keysHint : this.tools, (line) => this.goto(line));
      swap(this.run, this.stop);
      const running = new Run(this.panel, "run", { page, info: ["rust", ...this.words].join(","), code: this.text });
      this.running = running;
      running.done.then(() => {
        if (this.running !== running) return;
        this.running = null;
        swap(this.stop, this.run);
      });
    }
  }

  const blocks = [];
  const byKey = new Map();

  function kept(key) {
    try {
      const value = JSON.parse(localStorage.getItem(key));
      return value && typeof value.text === "string" ? value : null;
    } catch (_) {
      return null;
    }
  }

  function forget(key) {
    try {
      localStorage.removeItem(key);
    } catch (_) {
      // It will be offered again.
    }
  }

  /** Brings back what was edited before; what its block no longer fits is offered. */
  function restore() {
    let keys = [];
    try {
      keys = Object.keys(localStorage).filter((key) => key.startsWith(KEY));
    } catch (_) {
      return;
    }
    for (const key of keys) {
      const value = kept(key);
      if (!value) continue;
      const block = byKey.get(key);
      if (block) {
        block.saved = value.text;
        block.set(value.text);
        continue;
      }
      const words = (value.words || []).join();
      const like = blocks.filter((other) => other.words.join() === words);
      const target = (words.includes("chapters/") && like[0]) || blocks[Math.min(Number(value.index) || 0, blocks.length - 1)];
      if (!target) continue;
      target.notice("You have edited this block, and the book has changed it since.", [
        [
          "Show my edit",
          () => {
            forget(key);
            target.set(value.text);
            target.save();
          },
        ],
        ["Discard my edit", () => forget(key)],
      ]);
    }
  }

  addEventListener("storage", (event) => {
    const block = event.key === null ? null : byKey.get(event.key);
    if (!block) return;
    const value = kept(event.key);
    block.elsewhere(value ? value.text : block.original);
  });
  addEventListener("pagehide", () => blocks.forEach((block) => block.area && block.save()));

  // A server, and clients

  /** The commands of a transcript that start a chapter's server in the background. */
  function serversIn(text) {
    const commands = [];
    for (const line of text.split("\n")) {
      if (line.startsWith("$ ")) commands.push(line.slice(2));
      else if (line.startsWith("> ") && commands.length) commands[commands.length - 1] += ` ${line.slice(2)}`;
    }
    return commands
      .filter((command) => /^cargo run\b.*\s-p\s+ch\d\d-[\w-]+\b.*\s--\s.*--listen\s+\S+.*&\s*$/.test(command))
      .map((command) => command.replace(/\s*&\s*$/, "").replace(/\s+2>\s*\S+/g, "").replace(/\\\s/g, " ").replace(/\s+/g, " "))
      .filter((command, at, all) => !/[$|;<>(){}'"`&*?\\]/.test(command) && all.indexOf(command) === at);
  }

  class Client {
    constructor(server, number) {
      this.server = server;
      this.id = null;
      this.since = null;
      this.sending = Promise.resolve();
      this.root = element("section", "run-client");
      this.root.setAttribute("aria-label", `client ${number}`);
      const head = this.root.appendChild(element("div", "run-client-head"));
      head.append(element("strong", "", `client ${number}`));
      this.wait = head.appendChild(element("span", "run-wait", "connecting …"));
      this.talk = this.root.appendChild(element("div", "run-talk"));
      this.talk.tabIndex = 0;
      this.talk.setAttribute("role", "log");
      this.talk.setAttribute("aria-label", `what client ${number} said and heard`);
      keepKeys(this.talk);
      const form = this.root.appendChild(element("form", "run-say"));
      this.input = form.appendChild(element("input"));
      this.input.setAttribute("aria-label", `a line for client ${number} to say`);
      this.input.placeholder = "type a line";
      this.input.autocomplete = "off";
      this.input.disabled = true;
      keepKeys(this.input);
      this.send = form.appendChild(button("say", "Send", () => {}));
      this.send.type = "submit";
      const buttons = this.root.appendChild(element("div", "run-client-buttons"));
      this.finish = buttons.appendChild(button("finish", "End its input", () => this.say({ finish: true })));
      this.finish.title = "Half-close: the client will say no more, and still listens";
      this.hang = buttons.appendChild(button("close", "Close", () => this.end("closed by you", true)));
      this.send.disabled = this.finish.disabled = true;
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        if (this.input.disabled) return;
        const text = this.input.value;
        this.input.value = "";
        this.say({ text: `${text}\n` });
      });
      this.connect();
    }

    async connect() {
      try {
        const response = await post("connect", { run: this.server.run.id });
        this.id = (await response.json()).client;
        if (this.ended) {
          this.close();
          return;
        }
        this.input.disabled = this.send.disabled = this.finish.disabled = false;
        this.wait.textContent = "connected";
        this.server.connected(this);
      } catch (error) {
        this.end(error instanceof Refusal ? error.message : "closed", false);
      }
    }

    line(kind, spoken, text) {
      const atEnd = this.talk.scrollTop + this.talk.clientHeight >= this.talk.scrollHeight - 8;
      const line = this.talk.appendChild(element("div", kind));
      line.append(element("span", "run-spoken", spoken), text.replace(/\n$/, ""));
      if (atEnd) this.talk.scrollTop = this.talk.scrollHeight;
    }

    /** Things are said in the order in which they were typed. */
    say(what) {
      if (what.text !== undefined) {
        this.line("run-said", "said: ", what.text);
        if (this.since === null) this.since = performance.now();
        this.server.tick();
      } else {
        this.line("run-fact", "", "says no more");
        this.input.disabled = this.send.disabled = this.finish.disabled = true;
        this.hang.focus({ preventScroll: true });
      }
      this.sending = this.sending
        .then(() => post("say", { client: this.id, ...what }))
        .catch((error) => {
          if (error instanceof Refusal && !this.ended) this.line("run-fact", "", error.message);
        });
    }

    heard(text) {
      this.line("run-heard", "heard: ", text);
      if (this.since !== null) {
        this.wait.textContent = `answered after ${seconds(performance.now() - this.since)}`;
        this.since = null;
        this.root.classList.remove("run-unanswered");
      }
    }

    /** That nobody answers any more is no matter: the client is gone, then. */
    close() {
      post("say", { client: this.id, close: true }).catch(() => {});
    }

    /** How long it has been waiting for an answer, now. */
    show() {
      if (this.since === null) return false;
      const ms = performance.now() - this.since;
      if (ms > 250) {
        this.wait.textContent = `unanswered for ${still.matches ? Math.floor(ms / 1000) : (ms / 1000).toFixed(1)} s`;
        this.root.classList.add("run-unanswered");
      }
      return true;
    }

    end(text, byReader) {
      if (this.ended) return;
      this.ended = true;
      if (byReader && this.id !== null) this.close();
      const focused = this.root.contains(document.activeElement);
      this.input.disabled = this.send.disabled = this.finish.disabled = this.hang.disabled = true;
      this.wait.textContent = this.since === null ? "ended" : `never answered, in ${seconds(performance.now() - this.since)}`;
      this.since = null;
      this.root.classList.remove("run-unanswered");
      this.line("run-fact", "", text);
      this.server.count();
      if (focused && !this.server.more.hidden) this.server.more.focus({ preventScroll: true });
    }
  }

  class Server {
    constructor(pre, tools, command, label) {
      this.pre = pre;
      this.command = command;
      this.start = button("start", label, () => this.begin());
      this.start.title = command;
      this.stop = button("stop", label.replace("Start", "Stop"), () => this.run && this.run.stop());
      this.stop.hidden = true;
      this.clients = [];
      tools.append(this.start, this.stop);
    }

    begin() {
      if (!this.panel) {
        this.panel = new Panel(this.pre, null);
        this.panel.root.classList.add("run-server");
        this.panel.out.setAttribute("aria-label", "The server's log");
        this.address = element("p", "run-address");
        this.address.setAttribute("role", "status");
        this.room = element("div", "run-clients");
        this.more = button("client", "Another client", () => this.client(true));
        this.panel.out.before(this.address);
        this.panel.last.before(this.room, this.more);
      }
      this.clients = [];
      this.early = [];
      this.number = 0;
      this.room.replaceChildren();
      this.address.replaceChildren();
      this.more.hidden = true;
      swap(this.start, this.stop);
      const run = new Run(this.panel, "serve", { page, command: this.command }, (event) => {
        if (event.is === "listening") this.listening(String(event.address));
        else if (event.is === "heard" || event.is === "gone") this.ofClient(event);
      });
      this.run = run;
      run.done.then(() => {
        clearInterval(this.ticking);
        this.ticking = null;
        const focused = this.room.contains(document.activeElement) || document.activeElement === this.more;
        for (const client of this.clients) client.end("the server has ended", false);
        this.more.hidden = true;
        swap(this.stop, this.start);
        if (focused) this.start.focus({ preventScroll: true });
      });
    }

    listening(address) {
      if (this.address.hasChildNodes()) return;
      this.address.append("The server listens on ", element("code", "", address), ". Its log:");
      this.more.hidden = false;
      this.client(this.stop === document.activeElement);
    }

    client(focus) {
      const client = new Client(this, ++this.number);
      this.clients.push(client);
      this.room.append(client.root);
      this.count();
      if (!focus) return;
      // The field can have the focus when the connection is there.
      const ready = new MutationObserver(() => {
        ready.disconnect();
        if (!client.input.disabled && [this.stop, this.more, document.body].includes(document.activeElement)) client.input.focus({ preventScroll: true });
      });
      ready.observe(client.input, { attributeFilter: ["disabled"] });
    }

    /** What came for a client before the answer that says its name is kept for it. */
    ofClient(event) {
      const client = this.clients.find((client) => client.id === event.client);
      if (!client) this.early.push(event);
      else if (event.is === "heard") client.heard(String(event.text));
      else client.end(String(event.text), false);
    }

    connected(client) {
      const its = this.early.filter((event) => event.client === client.id);
      this.early = this.early.filter((event) => event.client !== client.id);
      its.forEach((event) => this.ofClient(event));
    }

    count() {
      this.more.disabled = this.clients.filter((client) => !client.ended).length >= CLIENTS;
    }

    tick() {
      if (this.ticking) return;
      this.ticking = setInterval(() => {
        if (this.clients.filter((client) => client.show()).length) return;
        clearInterval(this.ticking);
        this.ticking = null;
      }, still.matches ? 1000 : 100);
    }
  }

  // The page begins

  const occurrences = new Map();
  for (const code of document.querySelectorAll("main pre > code.language-rust")) {
    const block = new Block(code, blocks.length, occurrences);
    blocks.push(block);
    byKey.set(block.key, block);
  }
  for (const code of document.querySelectorAll("main pre > code.language-console")) {
    const commands = serversIn(code.textContent);
    if (!commands.length) continue;
    const tools = element("div", "run-tools run-tools-console");
    for (const command of commands) {
      const [, program] = /(?:--example|-p)\s+([\w-]+)(?!.*--example)/.exec(command);
      new Server(code.parentElement, tools, command, commands.length > 1 ? `Start ${program}` : "Start");
    }
    code.after(tools);
  }
  restore();
})();
