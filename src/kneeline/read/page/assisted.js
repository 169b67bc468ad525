/* The assisted phase: the reader's own blind answers and what the machine found, beside the form and over the slices.

Nothing of it is an answer: each has to be given anew. A blind page has neither this file nor the data it shows. */

kneeline.aid = (() => {
  const index = kneeline.index;
  const shown = (value) => (value === "x" ? "not readable" : String(value));
  const first = (item, one) => one.assist.first[item.name] ?? null;
  const machine = (item, one) => one.assist.machine[item.name] ?? null;

  function toggle(viewer) {
    viewer.outline = viewer.outline ? 0 : 0.9;
    document.getElementById("outlines").setAttribute("aria-pressed", String(viewer.outline > 0));
    viewer.draw();
  }

  return {
    first,

    viewer(canvas, onChange) {
      const viewer = new kneeline.Overlay(canvas, onChange, () => {});
      const button = Object.assign(document.createElement("button"), {
        type: "button", id: "outlines", textContent: "Outlines", title: "The machine's outlines (O)",
      });
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => toggle(viewer));
      document.getElementById("plane").before(button);
      return viewer;
    },

    unpack: (one, over) => kneeline.inflate(over, one.shape.reduce((all, n) => all * n, 1)),

    show(viewer, one, labels) {
      viewer.showOver({ labels, t2: null, structures: one.assist.structures, places: [] });
    },

    /* B and M above the grades that the reader gave blind and that the machine gave. */
    mark(form, one) {
      for (const item of form.items) {
        for (const button of form.rows.get(item.name).querySelectorAll("button")) {
          const words = [];
          for (const [who, value, text] of [["first", first(item, one), "your blind answer"], ["machine", machine(item, one), "the machine's grade"]]) {
            const same = value !== null && button.dataset.value === String(value);
            button.toggleAttribute(`data-${who}`, same);
            if (same) words.push(text);
          }
          button.dataset.label ||= button.getAttribute("aria-label");
          button.setAttribute("aria-label", [button.dataset.label, ...words].join(", "));
        }
      }
    },

    told(item, one) {
      const line = Object.assign(document.createElement("p"), { className: "told" });
      const [mine, its] = [first(item, one), machine(item, one)];
      const parts = item.sure ? [one.assist.outlines] : [
        mine === null ? null : `blind: ${shown(mine)} (K keeps it)`,
        its === null ? "machine: no grade" : `machine: ${its}${index.experimental.includes(item.name) ? " (experimental)" : ""}`,
      ];
      line.textContent = parts.filter(Boolean).join("  ·  ");
      return line;
    },

    about: (n) => `${n} case${n > 1 ? "s" : ""} that you have read blind, in another order. Your blind answers (B) and what the machine
      found (M, and its outlines) are shown. The machine errs: answer what you see. Your blind reading stays as it is.`,
    keys: "<dt>K</dt><dd>keep the blind answer</dd><dt>O</dt><dd>the machine's outlines on, off</dd>",
    letters: (viewer, keep) => ({ k: keep, o: () => toggle(viewer) }),
  };
})();
