/* All knees of the cohort. Rows are made as they come into view: thousands stay quick. Texts go in as text only. */

(() => {
  const { list } = kneeline;
  const of = (id) => document.getElementById(id);
  const folder = document.body.dataset.folder;
  const CHUNK = 60;
  let state = list.parse(location.hash);
  let all = [];
  let found = [];
  let made = 0; // rows that are on the page
  const fields = ["q", "show", "side", "signal", "effusion", "flag"];

  const cell = (text, more = {}, tag = "td") => Object.assign(document.createElement(tag), { textContent: text, ...more });
  const words = (value) => (value === null ? "n/a" : String(value));
  function grade(value, name, more = "") {
    const made = cell("", { className: `g ${more}` });
    made.dataset.name = name;
    made.append(cell(words(value), { className: `grade grade-${value === null ? "na" : value}` }, "span"));
    return made;
  }

  function line(row) {
    const tr = document.createElement("tr");
    tr.dataset.id = row.id;
    const file = `${folder}/${encodeURIComponent(row.id)}`;
    const thumb = cell("", { className: "thumb" });
    if (row.page) thumb.append(Object.assign(document.createElement("img"), { loading: "lazy", decoding: "async", alt: "", src: `${file}_thumbnail.png` }));
    else thumb.append(document.createElement("i"));
    const head = cell("", { scope: "row" }, "th");
    if (row.page) {
      const told = list.write(state);
      head.append(Object.assign(cell(row.id, { href: `${file}.html${told ? `#${told}` : ""}`, tabIndex: -1 }, "a")));
    } else {
      head.textContent = row.id;
      tr.tabIndex = -1;
    }
    const aside = row.status !== "ok";
    const verdict = cell("");
    verdict.append(cell(aside ? "set aside" : row.verdict || "n/a", { className: `verdict verdict-${aside ? "aside" : row.verdict || "none"}` }, "span"));
    if (row.hand) verdict.append(cell(" by hand", { className: "soft" }, "span"));
    tr.append(thumb, head, verdict);
    if (aside) tr.append(cell(`at ${row.stage || "n/a"}: ${row.reason || "no reason was told"}`, { className: "flags", colSpan: 12 }));
    else {
      const fluid = cell(row.ml === null ? "n/a" : row.ml.toFixed(1), { className: "n" });
      fluid.dataset.name = "fluid, mL";
      tr.append(...row.grades.map((value) => grade(value, "", "region")), grade(row.signal, "signal"), grade(row.effusion, "effusion"), fluid,
        grade(row.cartilage, "cartilage"), grade(row.marrow, "marrow"), cell([row.verdict !== "ok" && row.reason, ...row.flags].filter(Boolean).join("; "), { className: "flags" }));
    }
    return tr;
  }

  function grow(upto = made + CHUNK) {
    const rows = document.createDocumentFragment();
    for (const row of found.slice(made, upto)) rows.append(line(row));
    of("rows").append(rows);
    made = Math.min(Math.max(upto, made), found.length);
    const first = of("rows").querySelector("tr");
    if (first && !of("rows").querySelector('[tabindex="0"]')) target(first).tabIndex = 0;
  }

  function show() {
    const held = here() && here().dataset.id;
    found = list.apply(all, state);
    made = 0;
    of("rows").replaceChildren();
    of("count").textContent = found.length === all.length ? `${all.length}` : `${found.length} of ${all.length}`;
    of("none").hidden = found.length > 0;
    for (const name of fields) of(name).value = state[name];
    for (const head of document.querySelectorAll("th[data-sort]")) {
      const name = head.dataset.sort.replace("-", "");
      if (state.sort.replace("-", "") === name) head.setAttribute("aria-sort", state.sort.startsWith("-") ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    document.body.classList.toggle("gallery", state.view === "gallery");
    of("gallery").setAttribute("aria-pressed", String(state.view === "gallery"));
    grow();
    of("list").scrollTop = 0;
    if (held) focus(found.findIndex((row) => row.id === held));
    const told = list.write(state);
    history.replaceState(null, "", told ? `#${told}` : location.pathname);
  }
  const change = (more) => {
    state = { ...state, ...more };
    show();
  };

  /* --- from row to row --- */

  const target = (tr) => tr.querySelector("a") || tr;
  const here = () => document.activeElement && document.activeElement.closest("#rows tr");
  function focus(number) {
    if (!found.length) return of("list").focus();
    const at = Math.max(0, Math.min(found.length - 1, number));
    if (at >= made) grow(at + CHUNK);
    const tr = of("rows").children[at];
    of("rows").querySelectorAll('[tabindex="0"]').forEach((old) => (old.tabIndex = -1));
    target(tr).tabIndex = 0;
    target(tr).focus({ preventScroll: true });
    tr.scrollIntoView({ block: "nearest" });
  }
  function move(by) {
    const tr = here();
    focus(tr ? [...of("rows").children].indexOf(tr) + by : 0);
  }
  const across = () => {
    if (state.view !== "gallery") return 1;
    const [first, ...others] = of("rows").children;
    const next = others.findIndex((tr) => tr.offsetTop > first.offsetTop);
    return next === -1 ? others.length + 1 : next + 1;
  };

  const letters = {
    "/": () => of("q").select(), l: () => change({ show: state.show === "look" ? "all" : "look" }), x: () => change({ ...list.start, sort: state.sort, view: state.view }),
    g: () => change({ view: state.view === "gallery" ? "table" : "gallery" }), r: () => (location.href = "report.html"),
    h: () => of("keys").showModal(), "?": () => of("keys").showModal(), j: () => move(across()), k: () => move(-across()),
    arrowdown: () => move(across()), arrowup: () => move(-across()), arrowright: () => state.view === "gallery" && move(1), arrowleft: () => state.view === "gallery" && move(-1),
    pagedown: () => move(8), pageup: () => move(-8), home: () => focus(0), end: () => focus(found.length - 1),
  };
  document.addEventListener("keydown", (event) => {
    if (of("keys").open || event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase();
    if (event.target === of("q")) {
      if (key === "escape" || key === "enter" || key === "arrowdown") {
        event.preventDefault();
        focus(0);
      }
      return;
    }
    if (event.target.tagName === "SELECT") return;
    if (!letters[key]) return;
    event.preventDefault();
    letters[key]();
  });
  of("rows").addEventListener("click", (event) => {
    const link = event.target.closest("tr").querySelector("a");
    if (link && event.target !== link && !getSelection().toString()) link.click();
  });

  /* --- filter and order --- */

  of("q").addEventListener("input", () => change({ q: of("q").value }));
  for (const name of fields.slice(1)) of(name).addEventListener("change", () => change({ [name]: of(name).value }));
  of("filter").addEventListener("submit", (event) => event.preventDefault());
  of("filter").addEventListener("reset", (event) => {
    event.preventDefault();
    letters.x();
  });
  of("all").addEventListener("click", letters.x);
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const button = cell(head.textContent, { type: "button", title: head.title || "sort" }, "button");
    button.addEventListener("click", () => {
      const [one, name] = [head.dataset.sort, head.dataset.sort.replace("-", "")];
      const other = one === name ? `-${name}` : name;
      change({ sort: state.sort === one ? other : one });
    });
    head.replaceChildren(button);
  }
  of("gallery").addEventListener("click", letters.g);
  of("help").addEventListener("click", letters.h);
  of("close").addEventListener("click", () => of("keys").close());
  kneeline.theme(of("theme"), "kneeline-report/theme");
  new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && made < found.length && grow(), { root: of("list"), rootMargin: "600px" }).observe(of("more"));

  kneeline.bring("knees.js", "kneelineKnees").then(([data]) => {
    all = list.rows(data);
    const counts = new Map();
    for (const row of all) for (const flag of row.flags) counts.set(flag, (counts.get(flag) || 0) + 1);
    of("flag").append(...[...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([flag, n]) => cell(`${flag} (${n})`, { value: flag }, "option")));
    const at = new URLSearchParams(location.hash.slice(1)).get("at");
    show();
    const number = found.findIndex((row) => row.id === at);
    focus(Math.max(number, 0));
    document.body.dataset.shown = String(all.length);
  }, (error) => {
    of("count").textContent = `cannot be shown: ${error.message}`;
  });
  kneeline.page = { change, found: () => found };
})();
