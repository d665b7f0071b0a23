// Recorded runs, step by step.
//
// Names that tests may rely on: `figure.recording[data-step]` (counted from 0); in it `.recording-controls` with `button[data-do=first|back|play|next|last]` and
// `input[type=range]`; `.recording-said`; `.recording-task[data-task][data-state]`; `.recording-running` and `.recording-queue` with `li[data-task]`;
// `.recording-code .recording-here`; `.recording-list a`.
(() => {
  "use strict";

  const PACE = 1200;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const all = [];

  function button(what, sign, label) {
    const made = document.createElement("button");
    made.type = "button";
    made.dataset.do = what;
    made.textContent = sign;
    made.setAttribute("aria-label", label);
    made.title = label;
    return made;
  }

  class Recording {
    constructor(figure) {
      this.figure = figure;
      this.data = JSON.parse(figure.querySelector("script").textContent);
      this.count = this.data.steps.length;
      this.number = figure.querySelector(".recording-number");
      this.said = figure.querySelector(".recording-said");
      this.code = figure.querySelector(".recording-code");
      this.tasks = [...figure.querySelectorAll(".recording-task")].sort((a, b) => a.dataset.task - b.dataset.task);
      this.running = [...figure.querySelectorAll(".recording-running")];
      this.queues = [...figure.querySelectorAll(".recording-queue")];
      this.words = [...figure.querySelectorAll(".recording-list li")].map((item) => item.textContent);
      this.chips = this.tasks.map((task, index) => {
        const chip = document.createElement("li");
        chip.dataset.task = index;
        chip.textContent = task.querySelector("b").textContent;
        return chip;
      });
      this.controls();
      this.list();
      figure.addEventListener("keydown", (event) => this.key(event));
      this.show(0);
    }

    controls() {
      const bar = this.figure.querySelector(".recording-controls");
      const add = (what, sign, label, act) => {
        const made = bar.appendChild(button(what, sign, label));
        made.addEventListener("click", act);
        return made;
      };
      this.first = add("first", "⇤", "First step", () => this.go(0));
      this.back = add("back", "←", "Back", () => this.go(this.step - 1));
      this.play = add("play", "Play", "Play", () => (this.playing ? this.pause() : this.begin()));
      this.next = add("next", "→", "Next", () => this.go(this.step + 1));
      this.last = add("last", "⇥", "Last step", () => this.go(this.count - 1));
      this.slider = bar.appendChild(document.createElement("input"));
      this.slider.type = "range";
      this.slider.min = 0;
      this.slider.max = this.count - 1;
      this.slider.setAttribute("aria-label", "Step");
      this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
      const motion = () => {
        this.pause();
        this.play.hidden = still.matches;
      };
      still.addEventListener("change", motion);
      motion();
    }

    list() {
      // It is open for those who have no script.
      this.figure.querySelector(".recording-list").open = false;
      this.items = [...this.figure.querySelectorAll(".recording-list li")].map((item, step) => {
        const go = document.createElement("a");
        go.href = `#${this.figure.id}`;
        go.textContent = item.textContent;
        go.addEventListener("click", (event) => {
          event.preventDefault();
          this.go(step);
        });
        item.replaceChildren(go);
        return item;
      });
    }

    /** Arrow keys step, wherever the focus is in the figure; elsewhere they turn the page. */
    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const to = { ArrowLeft: this.step - 1, ArrowRight: this.step + 1, Home: 0, End: this.count - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.go(to);
    }

    begin() {
      if (this.step === this.count - 1) this.show(0);
      this.playing = setInterval(() => {
        this.show(this.step + 1);
        if (this.step === this.count - 1) this.pause();
      }, PACE);
      this.label("Pause");
    }

    pause() {
      clearInterval(this.playing);
      this.playing = null;
      this.label("Play");
    }

    label(text) {
      this.play.textContent = text;
      this.play.title = text;
      this.play.setAttribute("aria-label", text);
    }

    go(step) {
      this.pause();
      this.show(Math.max(0, Math.min(this.count - 1, step)));
    }

    show(step) {
      const before = this.places();
      this.step = step;
      const [actor, line, states, running, queues] = this.data.steps[step];
      // Counted from 0, as a printed recording is.
      this.figure.dataset.step = step;
      this.number.textContent = `Step ${step} of ${this.count - 1}`;
      this.said.textContent = this.words[step];
      this.slider.value = step;
      this.slider.setAttribute("aria-valuetext", `${step}: ${this.words[step]}`);
      // A disabled button would lose the focus.
      for (const [control, end] of [[this.first, 0], [this.back, 0], [this.next, this.count - 1], [this.last, this.count - 1]]) {
        control.setAttribute("aria-disabled", step === end);
      }
      this.tasks.forEach((task, index) => {
        const [state, text] = this.data.states[states[index]];
        task.dataset.state = state;
        task.querySelector(".recording-state").textContent = text;
        task.classList.toggle("recording-acts", index === actor);
      });
      this.running.forEach((place, domain) => {
        const task = running[domain];
        // Whoever wakes itself runs and is queued.
        const twice = queues[domain].includes(task);
        place.replaceChildren(...(task === null ? [] : [twice ? this.chips[task].cloneNode(true) : this.chips[task]]));
      });
      this.queues.forEach((place, domain) => place.replaceChildren(...queues[domain].map((task) => this.chips[task])));
      this.items.forEach((item, index) => {
        if (index === step) item.setAttribute("aria-current", "step");
        else item.removeAttribute("aria-current");
      });
      for (const row of this.code.children) row.classList.toggle("recording-here", row.value === line);
      this.keepInView(this.code.querySelector(".recording-here"));
      this.move(before);
    }

    /** Scrolls the box of the code, and never the page. */
    keepInView(row) {
      if (!row) return;
      const box = this.code;
      const top = row.offsetTop;
      const margin = 2 * row.offsetHeight;
      if (top < box.scrollTop + margin) box.scrollTop = top - margin;
      else if (top + row.offsetHeight + margin > box.scrollTop + box.clientHeight) {
        box.scrollTop = top + row.offsetHeight + margin - box.clientHeight;
      }
    }

    places() {
      if (still.matches) return null;
      return this.chips.map((chip) => (chip.isConnected ? chip.getBoundingClientRect() : null));
    }

    /** Lets the chips slide from where they were. */
    move(before) {
      if (!before) return;
      this.chips.forEach((chip, index) => {
        if (!chip.isConnected || !before[index]) return;
        const now = chip.getBoundingClientRect();
        const [x, y] = [before[index].left - now.left, before[index].top - now.top];
        if (x || y) chip.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], { duration: 250, easing: "ease-out" });
      });
    }
  }

  // On paper, everybody sees the same picture.
  addEventListener("beforeprint", () => {
    for (const recording of all) {
      recording.pause();
      recording.screen = recording.step;
      recording.show(recording.data.still);
    }
  });
  addEventListener("afterprint", () => {
    for (const recording of all) recording.show(recording.screen);
  });

  for (const figure of document.querySelectorAll("figure.recording")) all.push(new Recording(figure));
})();
