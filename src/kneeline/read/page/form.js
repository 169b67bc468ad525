/* The form, drawn from the index. Answers are buttons and not radio buttons: an arrow key never moves a choice. */

kneeline.Form = class {
  constructor(index, box, onAnswer, onTurn) {
    const confidence = { name: "confidence", section: "confidence", label: "in this knee", words: index.confidence, sure: true };
    this.items = [...index.form, confidence];
    this.onAnswer = onAnswer;
    this.onTurn = onTurn;
    this.rows = new Map();
    this.current = 0;
    let section = null;
    this.items.forEach((item, number) => {
      if (!section || section.dataset.name !== item.section) {
        section = document.createElement("fieldset");
        section.dataset.name = item.section;
        section.append(Object.assign(document.createElement("legend"), { textContent: item.section }));
        box.insertBefore(section, box.querySelector("#words"));
      }
      section.append(this.row(item, number));
    });
  }

  row(item, number) {
    const row = document.createElement("div");
    row.className = "item";
    row.tabIndex = 0;
    row.dataset.item = item.name;
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", item.section === item.label ? item.label : `${item.section}, ${item.label}`);
    row.append(Object.assign(document.createElement("span"), { textContent: item.label }));
    const choices = item.words.map(([grade, words]) => [grade, String(grade), words]);
    if (!item.sure) choices.push(["x", "n/r", "not readable"]);
    for (const [value, text, words] of choices) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, tabIndex: -1, title: words });
      button.dataset.value = value;
      button.setAttribute("aria-label", `${text === "n/r" ? "" : text + ", "}${words}`);
      button.addEventListener("click", () => {
        this.turn(number);
        this.onAnswer(item, value, false);
      });
      row.append(button);
    }
    row.addEventListener("focus", () => this.turn(number));
    this.rows.set(item.name, row);
    return row;
  }

  get item() {
    return this.items[this.current];
  }

  /* Make an item the one that number keys answer. */
  turn(number) {
    this.current = number;
    this.items.forEach((item, at) => this.rows.get(item.name).classList.toggle("current", at === number));
    const row = this.rows.get(this.item.name);
    if (document.activeElement !== row) row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
    this.onTurn(this.item);
  }

  /* The next item without an answer, after the current one first; null if all have one. */
  following(answer) {
    const order = this.items.map((_, at) => (this.current + 1 + at) % this.items.length);
    return order.find((at) => answer(this.items[at].name) === null) ?? null;
  }

  show(answer, locked) {
    for (const item of this.items) {
      const row = this.rows.get(item.name);
      const value = answer(item.name);
      row.classList.toggle("answered", value !== null);
      for (const button of row.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(value !== null && button.dataset.value === String(value)));
        button.disabled = locked;
      }
    }
  }
};
