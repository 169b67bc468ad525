/* A knee's page: the slices and what is drawn on them, tied to the lines of the findings. */

(() => {
  const { list } = kneeline;
  const of = (id) => document.getElementById(id);
  const info = JSON.parse(of("info").textContent);
  const element = (tag, more = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), more);
    made.append(...children);
    return made;
  };

  /* --- the list that this knee was opened from --- */

  const state = list.parse(location.hash);
  const address = (page) => (list.write(state) ? `${page}#${list.write(state)}` : page);
  let neighbours = [null, null];
  const told = list.write(state);
  of("back").href = `../index.html#${told ? `${told}&` : ""}at=${encodeURIComponent(info.scan)}`;
  kneeline.bring("../knees.js", "kneelineKnees").then(([data]) => {
    const all = list.rows(data);
    const shown = list.apply(all, state).filter((row) => row.page);
    const at = shown.findIndex((row) => row.id === info.scan);
    of("position").textContent = at === -1 ? "" : `${at + 1} of ${shown.length}${shown.length < all.length ? " in the list" : ""}`;
    if (at === -1) return;
    neighbours = [shown[at - 1], shown[at + 1]].map((row) => row && `${encodeURIComponent(row.id)}.html`);
    of("previous").disabled = !neighbours[0];
    of("next").disabled = !neighbours[1];
  }, () => { /* a page that was copied alone has no neighbours */ });
  const leave = (page) => page && (location.href = address(page));

  const keys = of("keys");
  const help = () => keys.showModal();
  of("help").addEventListener("click", help);
  of("close").addEventListener("click", () => keys.close());
  of("previous").addEventListener("click", () => leave(neighbours[0]));
  of("next").addEventListener("click", () => leave(neighbours[1]));
  kneeline.theme(of("theme"), "kneeline-report/theme");

  const letters = { n: () => leave(neighbours[1]), p: () => leave(neighbours[0]), b: () => (location.href = of("back").href), h: help, "?": help };
  let arrow = () => false;
  document.addEventListener("keydown", (event) => {
    if (keys.open) return;
    const slider = event.target.type === "range";
    if (!slider && !event.target.closest(".scroll, #picture") && arrow(event)) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase();
    if (slider && /^(arrow|page|home|end)/.test(key)) return;
    if (!letters[key]) return;
    event.preventDefault();
    letters[key]();
  });
  if (!info.viewer) {
    document.documentElement.classList.add("still");
    document.body.dataset.shown = info.scan;
    return;
  }

  /* --- the viewer --- */

  const viewer = new kneeline.Overlay(of("canvas"), describe, point);
  const frame = new kneeline.Frame(viewer);
  arrow = (event) => frame.arrow(event);
  Object.assign(letters, frame.letters);

  const [places, byRow] = [info.places, new Map()];
  places.forEach((place) => place.ids.forEach((id) => byRow.set(id, [...(byRow.get(id) || []), place])));
  const order = [];
  for (const row of document.querySelectorAll(".findings tr[id]")) {
    const own = (byRow.get(row.id) || []).sort((a, b) => !!a.ends - !!b.ends || b.mm3 - a.mm3);
    const head = row.querySelector("th");
    if (!own.length) {
      head.classList.add("plain");
      continue;
    }
    order.push(own[0]);
    head.replaceChildren(element("button", { type: "button", className: "go", textContent: head.textContent, title: own[0].words, onclick: () => choose(own[0]) }));
  }

  /* Once: go there; again: nearer, and back. */
  function choose(place) {
    if (place && place === viewer.chosen && viewer.holds(place)) return zoom();
    viewer.choose(place);
    light();
  }
  function zoom() {
    if (!viewer.chosen) return;
    if (viewer.zoom === 1) viewer.zoomTo(viewer.chosen);
    else viewer.refit();
  }
  function light(hovered = null) {
    for (const row of document.querySelectorAll(".findings tr[id]")) {
      const isChosen = viewer.chosen && viewer.chosen.ids.includes(row.id);
      if (isChosen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      row.classList.toggle("lit", !!hovered && hovered.ids.includes(row.id));
      if (isChosen && !hovered) {
        if (row.closest("details")) row.closest("details").open = true;
        row.scrollIntoView({ block: "nearest" });
      }
    }
  }
  function step(by) {
    if (!order.length) return;
    const at = order.indexOf(viewer.chosen);
    choose(order[at === -1 ? (by > 0 ? 0 : order.length - 1) : (at + by + order.length) % order.length]);
  }

  function describe() {
    frame.describe();
    if (viewer.plane === 0) {
      const left = info.knee.laterality === "L" ? viewer.slice + 1 : viewer.count - viewer.slice;
      of("where").textContent += `\nslice ${left} from the patient's left, as the report counts`;
    }
    paintMarks();
  }
  /* On the bar of slices: where something was measured. */
  function paintMarks() {
    const track = of("track");
    const key = `${viewer.plane}/${viewer.marks}`;
    if (track.dataset.key === key) return;
    track.dataset.key = key;
    track.querySelectorAll("u").forEach((mark) => mark.remove());
    if (!viewer.marks) return;
    for (const place of places.filter((one) => !one.quiet)) {
      const [low, high] = [place.low, place.high].map((value) => Math.round(value[viewer.axes[0]]));
      const mark = element("u", { title: place.words, className: place.ends ? "line" : "component" });
      mark.style.left = `${(low / viewer.count) * 100}%`;
      mark.style.width = `${((high - low + 1) / viewer.count) * 100}%`;
      track.append(mark);
    }
  }

  function point(found) {
    const box = of("point");
    box.hidden = !found;
    light(found && found.place);
    if (!found) return;
    const lines = [];
    if (found.structure) {
      const dot = element("i");
      dot.style.background = found.structure.color;
      lines.push(element("div", {}, dot, found.structure.name));
    }
    if (found.place) lines.push(element("b", { textContent: found.place.words }));
    const t2 = found.t2 === null ? "" : `, T2 ${found.t2.toFixed(1)} ms`;
    lines.push(element("span", { textContent: `signal ${Math.abs(found.signal) < 10 ? found.signal.toPrecision(2) : Math.round(found.signal)}${t2}` }));
    box.replaceChildren(...lines);
    const frame = of("canvas").getBoundingClientRect();
    const [x, y] = [frame.left + found.x + 16, frame.top + found.y + 18];
    box.style.left = `${Math.min(x, frame.right - box.offsetWidth - 4)}px`;
    box.style.top = `${y + box.offsetHeight > frame.bottom ? y - box.offsetHeight - 30 : y}px`;
  }

  /* --- what is shown --- */

  const numbers = ["fluid", "meniscus", "cartilage", "bone"];
  const boxes = new Map();
  for (const one of info.structures) {
    const box = element("input", { type: "checkbox", checked: true, onchange: () => viewer.toggle([one.value], box.checked) });
    const swatch = element("i");
    swatch.style.background = one.color;
    const first = info.structures.find((other) => other.group === one.group) === one;
    of("structures").append(element("li", {}, element("label", {}, box, swatch, one.name, ...(first ? [element("kbd", { textContent: numbers.indexOf(one.group) + 1 })] : []))));
    boxes.set(one, box);
  }
  numbers.forEach((group, i) => {
    letters[String(i + 1)] = () => {
      const own = [...boxes].filter(([one]) => one.group === group);
      const on = own.some(([, box]) => !box.checked);
      own.forEach(([, box]) => (box.checked = on));
      viewer.toggle(own.map(([one]) => one.value), on);
    };
  });

  function slider(id, name, usual, letter) {
    const range = of(id);
    let last = usual;
    const set = (value) => {
      range.value = value;
      viewer[name] = value / 100;
      if (value > 0) last = value;
      if (id === "t2") of("t2-bar").hidden = value === 0;
      viewer.draw();
    };
    range.addEventListener("input", () => set(Number(range.value)));
    letters[letter] = () => set(Number(range.value) ? 0 : last);
    return set;
  }
  const outline = slider("outline", "outline", 90, "o");
  slider("filled", "fillShare", 35, "l");
  letters["["] = () => outline(Math.max(0, Number(of("outline").value) - 15));
  letters["]"] = () => outline(Math.min(100, Number(of("outline").value) + 15));
  const marks = (on) => {
    of("marks").checked = viewer.marks = on;
    viewer.draw();
  };
  of("marks").addEventListener("change", () => marks(of("marks").checked));
  letters.k = () => marks(!viewer.marks);
  letters[","] = () => step(-1);
  letters["."] = () => step(1);
  letters.z = zoom;
  letters.escape = () => choose(null);
  if (info.t2Step) {
    of("t2-label").hidden = false;
    const t2 = slider("t2", "t2Share", 85, "t");
    t2(0);
    const bar = of("t2-colours").getContext("2d");
    for (let x = 0; x < 256; x++) {
      bar.fillStyle = `rgb(${kneeline.t2Colour(x / 255).join(" ")})`;
      bar.fillRect(x, 0, 1, 10);
    }
  }

  /* --- loading --- */

  of("who").textContent = info.knee.laterality === "R" ? "RIGHT knee" : "LEFT knee";
  of("loading").hidden = false;
  (async () => {
    try {
      const [digest, packed] = await kneeline.bring(`${encodeURIComponent(info.scan)}_pixels.js`, "kneelinePixels", "windows-1252");
      if (digest !== info.digest) throw new Error("the images belong to another run; copy the whole folder again");
      const count = info.knee.shape.reduce((a, b) => a * b);
      const [pixels, labels, t2] = await Promise.all([
        kneeline.unpack(packed.image, info.knee.shape), kneeline.inflate(packed.labels, count), packed.t2 ? kneeline.inflate(packed.t2, count) : null,
      ]);
      viewer.show(info.knee, pixels);
      viewer.showOver({ labels, t2, t2Step: info.t2Step, structures: info.structures, places });
      if (order.length) viewer.go(order[0].slice);
      of("loading").hidden = true;
      document.body.dataset.shown = info.scan;
    } catch (error) {
      of("loading").textContent = `The slices cannot be shown: ${error.message}.`;
    }
  })();
  kneeline.page = { viewer, choose, places };
})();
