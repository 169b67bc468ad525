/* The page: cases in the reader's order, keys, and what the reader must know about the answers' safety. */

(() => {
  const index = kneeline.index;
  const of = (id) => document.getElementById(id);
  const loader = new kneeline.Loader(index.cases);
  const aid = kneeline.aid || null; // what a later phase brings to the page; a blind one has none
  let at = 0; // the case shown
  let flash = null;
  let ready = false; // the store speaks before the form is there

  const store = new kneeline.Store(index, kneeline.remote(), () => refresh());
  const describe = () => frame.describe();
  const viewer = aid ? aid.viewer(of("canvas"), describe) : new kneeline.Viewer(of("canvas"), describe);
  const back = () => of("start").open || form.turn(form.current); // keys belong to the form again
  const frame = new kneeline.Frame(viewer, back);
  const form = new kneeline.Form(index, of("form"), answer, explain);
  const here = () => index.cases[at];
  const given = (name) => store.get(here().id, name);
  const missing = (id) => form.items.filter((item) => store.get(id, item.name) === null).length;
  const isRead = (id) => missing(id) === 0;
  const countRead = () => index.cases.filter((one) => isRead(one.id)).length;

  /* --- answers --- */

  function answer(item, value, goOn) {
    if (!store.set(here().id, item.name, value)) return say("Not recorded: another window of this page is the one that records.");
    say(null);
    if (goOn) {
      const next = form.following(given);
      if (next !== null) form.turn(next);
    }
  }

  function digit(number) {
    const item = form.item;
    if (!item.words.some(([grade]) => grade === number)) {
      const grades = item.words.map(([grade]) => grade);
      return say(`${item.section === item.label ? "" : item.section + ", "}${item.label}: ${grades[0]} to ${grades.at(-1)}`);
    }
    answer(item, number, true);
  }

  function onwards() {
    const next = form.following(given);
    if (next !== null) form.turn(next);
    else if (at < index.cases.length - 1) go(at + 1);
    else say(countRead() === index.cases.length ? "Every case is read. Export the readings (E) and send the file back." : "This is the last case; cases with a gap in the bar above are not complete.");
  }

  /* --- cases --- */

  async function go(to) {
    keepComment();
    at = Math.max(0, Math.min(index.cases.length - 1, to));
    const one = here();
    viewer.show(one, null);
    viewer.draw();
    say(null);
    refresh();
    form.turn(form.items.findIndex((item) => given(item.name) === null) === -1 ? 0 : form.items.findIndex((item) => given(item.name) === null));
    of("comment").value = given("comment") ?? "";
    of("loading").textContent = "loading";
    of("loading").hidden = false;
    try {
      const pixels = await loader.get(one.id);
      const over = aid && await aid.unpack(one, loader.over.get(one.id));
      if (one !== here()) return;
      viewer.show(one, pixels);
      if (aid) aid.show(viewer, one, over);
      of("loading").hidden = true;
      document.body.dataset.shown = one.id;
      const next = index.cases[at + 1];
      loader.keep([one.id, next && next.id]);
      if (next) setTimeout(() => one === here() && loader.get(next.id).catch(() => {}), 300);
    } catch (error) {
      if (one === here()) of("loading").textContent = `This case cannot be shown: ${error.message}.`;
    }
  }

  function keepComment() {
    const text = of("comment").value.replace(/\s+/g, " ").trim();
    if (text !== (given("comment") ?? "")) {
      if (!store.set(here().id, "comment", text || null)) say("Not recorded: another window of this page is the one that records.");
    }
  }

  /* --- what is shown --- */

  const strip = of("cases");
  if (index.cases.length <= 150) {
    index.cases.forEach((one, number) => {
      const button = Object.assign(document.createElement("button"), { type: "button", tabIndex: -1 });
      button.addEventListener("click", () => go(number));
      strip.append(button);
    });
  } else strip.append(Object.assign(document.createElement("progress"), { max: index.cases.length, ariaLabel: "cases read" }));

  function refresh() {
    if (!ready) return;
    const done = countRead();
    const locked = !store.mayWrite;
    of("reader").textContent = `Reader ${index.rater}`;
    of("count").textContent = `${done} of ${index.cases.length} read`;
    document.title = `${done}/${index.cases.length} · knee reading · ${index.rater}`;
    const left = missing(here().id);
    of("case-title").textContent = `Case ${at + 1}: ${here().laterality === "R" ? "right" : "left"} knee`;
    of("case-count").textContent = left ? `${form.items.length - left} of ${form.items.length}` : "complete";
    of("case-head").classList.toggle("complete", !left);
    of("who").textContent = `${here().laterality === "R" ? "RIGHT" : "LEFT"} knee · case ${at + 1} of ${index.cases.length}`;
    [...strip.querySelectorAll("button")].forEach((button, number) => {
      const open = missing(index.cases[number].id);
      const state = open === 0 ? "complete" : open === form.items.length ? "not begun" : "begun";
      button.className = `${state.replace(" ", "-")}${number === at ? " here" : ""}`;
      button.title = `case ${number + 1}: ${state}`;
      button.setAttribute("aria-label", button.title);
    });
    const bar = strip.querySelector("progress");
    if (bar) bar.value = done;
    form.show(given, locked);
    if (aid) aid.mark(form, here());
    of("comment").disabled = locked;
    if (document.activeElement !== of("comment")) of("comment").value = given("comment") ?? "";
    of("previous").disabled = at === 0;
    of("next").disabled = at === index.cases.length - 1;
    of("hint").textContent = flash || (left ? "" : at < index.cases.length - 1 ? "Enter: next case" : "last case");
    warn(locked);
  }

  function say(text) {
    flash = text;
    refresh();
  }

  function warn(locked) {
    const state = store.state;
    const time = store.savedAt ? ` ${store.savedAt.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}` : "";
    of("saved").className = state;
    of("saved").textContent = {
      saved: time ? `✓ saved${time}` : "✓ nothing to save",
      sending: "saving …",
      browser: "kept in this browser only",
      looking: "looking on",
      failed: "✗ NOT SAVED",
    }[state];
    const alert = of("alert");
    const texts = [];
    if (state === "failed") texts.push("This browser cannot store answers (its store is full or switched off). What is answered is in this window only: export now, and do not close it. Saving is tried again every two seconds.");
    if (state === "browser") texts.push("The server does not answer. Answers are kept in this browser and are sent as soon as it is back.");
    if (locked) texts.push("This reading is open in another window, which records the answers. Here you can look on.");
    if (store.spoiled) texts.push("Some answers in the browser's store could not be read; they were put aside, not deleted. Import an earlier export, or ask the researcher.");
    alert.hidden = !texts.length;
    alert.className = state;
    if (alert.dataset.text !== texts.join(" ")) {
      alert.dataset.text = alert.textContent = texts.join(" ");
      if (locked) {
        const button = Object.assign(document.createElement("button"), { type: "button", id: "take-over", textContent: "Record here instead" });
        button.addEventListener("click", () => store.takeOver());
        alert.append(" ", button);
      }
    }
  }

  /* What the numbers mean for the current item. */
  function explain(item) {
    const box = of("scale");
    box.replaceChildren(Object.assign(document.createElement("b"), { textContent: item.section === item.label ? item.label : `${item.section}: ${item.label}` }));
    if (aid) box.append(aid.told(item, here()));
    const list = document.createElement("ul");
    const line = (key, words) => {
      const row = document.createElement("li");
      row.append(Object.assign(document.createElement("kbd"), { textContent: key }), words);
      list.append(row);
    };
    for (const [grade, words] of item.words) line(grade, words);
    if (!item.sure) line("X", "not readable (this is not 0)");
    box.append(list);
  }

  /* --- export and import --- */

  function save() {
    keepComment();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([kneeline.exported(index, store.answers)], { type: "text/tab-separated-values" }));
    link.download = `readings_${index.rater}_${index.package.slice(0, 8)}.tsv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say(`Exported ${countRead()} complete case(s) of ${index.cases.length}.`);
  }

  async function load(file) {
    try {
      const changed = store.mergeIn(kneeline.imported(index, await file.text()));
      say(changed === null ? "Not taken: another window of this page is the one that records." : `${file.name}: ${changed} answer(s) taken over, the newer of two each time.`);
    } catch (error) {
      say(`${file.name} was not taken: ${error.message}.`);
    }
  }

  /* --- first words, and help --- */

  function greet(again) {
    const dialog = of("start");
    const n = index.cases.length;
    dialog.innerHTML = `
      <h1 id="start-title"></h1>
      <p>${aid ? aid.about(n) : `${n} case${n > 1 ? "s" : ""} in random order; some knees may come twice. Grade what you see in each: who it is, how this person
      runs and what the computer found are not in this page.`} <b>Not readable is not 0.</b> No grade is set beforehand.</p>
      <p>Every answer is saved at once ${location.protocol === "file:" ? "in this browser on this computer. When you are done, or to go on elsewhere, export and keep the file" : "by the server"}.</p>
      <div class="keys">
        <dl><dt>0 … 4</dt><dd>grade, go to the next</dd><dt>X</dt><dd>not readable</dd><dt>⌫</dt><dd>take an answer back</dd>
        <dt>Tab</dt><dd>next item (⇧ previous)</dd><dt>Enter</dt><dd>next gap, then next case</dd><dt>N, P</dt><dd>next, previous case</dd><dt>C</dt><dd>comment (Esc leaves it)</dd>${aid ? aid.keys : ""}</dl>
        <dl><dt>↑ ↓ ← →, wheel</dt><dd>slices (PgUp, PgDn: five)</dd><dt>drag, ⇧ arrows</dt><dd>window and level</dd><dt>right drag, + −</dt><dd>zoom</dd>
        <dt>middle drag, Ctrl arrows</dt><dd>move</dd><dt>⇧ drag, M</dt><dd>measure</dd><dt>V, I, R</dt><dd>other plane, invert, reset</dd><dt>E, H</dt><dd>export, this help</dd></dl>
      </div>
      <p><button type="button" id="begin"></button></p>
      <p class="fine"></p>`;
    dialog.querySelector("h1").textContent = again ? "How to read" : `Reading by ${index.rater}`;
    dialog.querySelector(".fine").textContent = `Research use, not for diagnosis. kneeline ${index.version}, package ${index.package.slice(0, 8)}.`;
    const begin = of("begin");
    begin.textContent = again ? "Back (Esc)" : `I am ${index.rater}: ${countRead() ? `go on, ${countRead()} of ${n} read` : "begin"}`;
    begin.addEventListener("click", () => dialog.close());
    dialog.showModal();
    begin.focus();
  }
  of("start").addEventListener("close", () => form.turn(form.current));

  /* --- keys --- */

  const letters = {
    n: () => go(at + 1), p: () => go(at - 1), c: () => of("comment").focus(), e: save, h: () => greet(true), "?": () => greet(true),
    ...frame.letters,
    x: () => form.item.sure || answer(form.item, "x", true),
    backspace: () => answer(form.item, null, false), delete: () => answer(form.item, null, false),
  };
  if (aid) Object.assign(letters, aid.letters(viewer, () => {
    const first = aid.first(form.item, here());
    if (first !== null) answer(form.item, first, true);
  }));

  document.addEventListener("keydown", (event) => {
    if (of("start").open) return;
    if (event.target === of("comment")) {
      if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) {
        event.preventDefault();
        keepComment();
        form.turn(form.current);
      }
      return;
    }
    if (frame.arrow(event)) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase();
    const onButton = event.target.tagName === "BUTTON";
    if (key === "enter" || key === " ") {
      if (onButton && !event.target.closest(".item")) return;
      event.preventDefault();
      if (key === "enter" && !event.repeat) onwards();
      return;
    }
    // By place as well: on some keyboards digits need Shift.
    const number = /^[0-9]$/.test(key) ? key : (event.code.match(/^Digit([0-9])$/) || [])[1];
    if (number !== undefined && !letters[key]) {
      event.preventDefault();
      // A key held down is one answer, not one for each item after it.
      if (!event.repeat) digit(Number(number));
    } else if (letters[key]) {
      event.preventDefault();
      if (!event.repeat || key.startsWith("page") || key === "+" || key === "-") letters[key]();
    }
  });

  /* --- mouse --- */

  const click = (id, call) => of(id).addEventListener("click", () => {
    call();
    back();
  });
  click("export", save);
  click("import", () => of("file").click());
  click("help", () => greet(true));
  click("previous", () => go(at - 1));
  click("next", () => go(at + 1));
  of("file").addEventListener("change", () => {
    if (of("file").files.length) load(of("file").files[0]);
    of("file").value = "";
  });
  of("comment").addEventListener("blur", keepComment);
  of("comment").addEventListener("change", keepComment);
  of("comment").addEventListener("input", keepComment);

  kneeline.theme(of("theme"), "kneeline-read/theme");
  of("theme").addEventListener("click", back);

  window.addEventListener("beforeunload", (event) => {
    keepComment();
    if (store.state === "failed" || store.unsent.size) event.preventDefault();
  });

  ready = true;
  const firstOpen = index.cases.findIndex((one) => !isRead(one.id));
  go(firstOpen === -1 ? 0 : firstOpen);
  greet(false);
  kneeline.page = { store, viewer, form, go };
})();
