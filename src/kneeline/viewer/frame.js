/* What stands around the slice: where it is, window and level, the bar of slices, and the keys that move through it. */

kneeline.Frame = class {
  constructor(viewer, afterClick = () => {}) {
    this.viewer = viewer;
    const of = (this.of = (id) => document.getElementById(id));
    const slide = (event) => {
      if (!viewer.image) return;
      const box = of("track").getBoundingClientRect();
      viewer.go(Math.floor(((event.clientX - box.left) / box.width) * viewer.count));
    };
    of("track").addEventListener("pointerdown", (event) => {
      of("track").setPointerCapture(event.pointerId);
      slide(event);
    });
    of("track").addEventListener("pointermove", (event) => event.buttons && slide(event));
    this.letters = {
      v: () => viewer.turn(), m: () => this.ruler(), i: () => viewer.invert(), r: () => viewer.image && ((viewer.plane = 0), viewer.reset()),
      "+": () => viewer.enlarge(1.25), "=": () => viewer.enlarge(1.25), "-": () => viewer.enlarge(0.8),
      pageup: () => viewer.move(-5), pagedown: () => viewer.move(5), home: () => viewer.go(0), end: () => viewer.image && viewer.go(viewer.count - 1),
    };
    for (const [id, letter] of [["plane", "v"], ["ruler", "m"], ["invert", "i"], ["fit", "r"]]) {
      of(id).addEventListener("click", () => {
        this.letters[letter]();
        afterClick();
      });
    }
  }

  ruler() {
    this.viewer.ruling = !this.viewer.ruling;
    this.of("ruler").setAttribute("aria-pressed", String(this.viewer.ruling));
    this.of("canvas").classList.toggle("ruling", this.viewer.ruling);
  }

  /* Arrows: slices; with Shift window and level, with Ctrl the place. Says whether the key was one of them. */
  arrow(event) {
    const arrow = { ArrowUp: [0, 1, -1], ArrowDown: [0, -1, 1], ArrowLeft: [-1, 0, -1], ArrowRight: [1, 0, 1] }[event.key];
    if (!arrow || event.altKey || event.metaKey) return false;
    event.preventDefault();
    if (event.ctrlKey) this.viewer.shift(arrow[0] * 30, -arrow[1] * 30);
    else if (event.shiftKey) this.viewer.grey(arrow[0] * 0.05, arrow[1] * 0.03);
    else this.viewer.move(arrow[2]);
    return true;
  }

  describe() {
    const { of, viewer } = this;
    const { low, step, error } = viewer.image;
    const [first, last] = viewer.ends;
    const scan = (value) => (Math.abs(value) < 10 ? value.toPrecision(2) : Math.round(value));
    of("where").textContent = `${viewer.planeName} ${viewer.slice + 1} / ${viewer.count}`;
    of("settings").textContent = `W ${scan((viewer.high - viewer.low) * step)}  L ${scan(low + (step * (viewer.high + viewer.low)) / 2)}  ·  ${Math.round(viewer.zoom * 100)} %${viewer.inverted ? "  ·  inverted" : ""}`;
    of("quality").textContent = error ? `grey levels within ±${(error * 100).toPrecision(2)} % of the first window` : "";
    for (const [side, letter] of Object.entries(viewer.sides)) of(`side-${side}`).textContent = letter;
    of("bar-first").textContent = first;
    of("bar-last").textContent = last;
    const thumb = of("thumb");
    thumb.style.width = `${Math.max(100 / viewer.count, 2)}%`;
    thumb.style.left = `${(viewer.slice / viewer.count) * 100}%`;
  }
};

/* Light or dark, remembered where the browser has a store. */
kneeline.theme = function (button, key) {
  const set = (name) => name && document.documentElement.setAttribute("data-theme", name);
  try { set(localStorage.getItem(key)); } catch (error) { /* no store: as the system wishes */ }
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
    set(now === "dark" ? "light" : "dark");
    try { localStorage.setItem(key, document.documentElement.dataset.theme); } catch (error) { /* not remembered */ }
  });
};
