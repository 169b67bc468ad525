/* Answers, kept by the browser as soon as they are given, and by the server where there is one.

An answer is {value, at, first}: a grade, "x" (not readable) or null (taken back); when it was last changed and first
given (ms). Of two versions of one answer the newer counts, so windows, exports and server can be merged in any order
and nothing that was answered is lost. Each package and reader has names of its own in the browser's store.

One window writes. It says so every two seconds; another window of the same package only looks on, until the reader
takes over there or the first is gone. */

kneeline.newer = (a, b) => {
  if (!a || !b) return a || b;
  const [older, newer] = a.at < b.at || (a.at === b.at && JSON.stringify(a.value) < JSON.stringify(b.value)) ? [a, b] : [b, a];
  return { ...newer, first: Math.min(older.first, newer.first) };
};

kneeline.merge = (a, b) => {
  const out = { ...a };
  for (const name of Object.keys(b)) out[name] = kneeline.newer(out[name], b[name]);
  return out;
};

kneeline.Store = class {
  static beat = 2000; // ms between signs of life
  static silence = 5000; // a window that said nothing for so long is gone

  constructor(index, remote, onChange) {
    this.prefix = `kneeline-read/${index.package}/${index.rater}/`;
    this.cases = index.cases.map((one) => one.id);
    this.remote = remote;
    this.onChange = onChange;
    this.id = Array.from(crypto.getRandomValues(new Uint32Array(2)), (n) => n.toString(36)).join("");
    this.answers = new Map(this.cases.map((id) => [id, {}]));
    this.unkept = new Set(); // cases whose answers the browser did not take
    this.unsent = new Set(); // cases whose answers the server does not have
    this.spoiled = false;
    this.mayWrite = false;
    for (const id of this.cases) this.take(id, this.read(id));
    window.addEventListener("storage", (event) => this.hear(event));
    window.addEventListener("pagehide", () => this.leave());
    if (remote) this.connect();
    this.alive();
    this.timer = setInterval(() => this.alive(), kneeline.Store.beat);
  }

  get(id, name) {
    const answer = this.answers.get(id)[name];
    return answer ? answer.value : null;
  }

  /* Returns false, and keeps nothing, where another window writes. */
  set(id, name, value) {
    this.checkTurn();
    if (!this.mayWrite) return false;
    const mine = this.answers.get(id);
    const before = mine[name];
    if ((before ? before.value : null) === value) return true;
    // A clock that was set back must not make the new answer the older one.
    const at = Math.max(Date.now(), before ? before.at + 1 : 0);
    mine[name] = { value, at, first: before ? before.first : at };
    this.save(id);
    return true;
  }

  /* Answers from elsewhere: an earlier export. Returns how many were newer than what was here. */
  mergeIn(answers) {
    this.checkTurn();
    if (!this.mayWrite) return null;
    let changed = 0;
    for (const [id, theirs] of Object.entries(answers)) {
      const before = this.answers.get(id);
      const merged = kneeline.merge(before, theirs);
      changed += Object.keys(merged).filter((name) => !before[name] || before[name].at !== merged[name].at).length;
      this.answers.set(id, merged);
      this.save(id);
    }
    return changed;
  }

  /* --- the browser's store --- */

  read(id) {
    let text = null;
    try {
      text = localStorage.getItem(this.prefix + id);
      return text ? JSON.parse(text) : {};
    } catch (error) {
      // Never seen but never to be written over: it is put aside.
      if (text) {
        this.spoiled = true;
        try { localStorage.setItem(`${this.prefix}spoiled/${id}/${Date.now()}`, text); } catch (again) { /* said in status */ }
      }
      return {};
    }
  }

  take(id, theirs) {
    const merged = kneeline.merge(this.answers.get(id), theirs);
    this.answers.set(id, merged);
    return JSON.stringify(Object.entries(merged).sort()) !== JSON.stringify(Object.entries(theirs).sort());
  }

  save(id) {
    this.take(id, this.read(id));
    const text = JSON.stringify(this.answers.get(id));
    try {
      localStorage.setItem(this.prefix + id, text);
      if (localStorage.getItem(this.prefix + id) !== text) throw new Error("not kept");
      this.unkept.delete(id);
      this.savedAt = new Date();
    } catch (error) {
      this.unkept.add(id);
    }
    if (this.remote) {
      this.unsent.add(id);
      this.send();
    }
    this.onChange();
  }

  hear(event) {
    if (event.key === null || !event.key.startsWith(this.prefix)) return;
    const id = event.key.slice(this.prefix.length);
    if (id === "window") this.checkTurn();
    else if (this.answers.has(id)) {
      // Where the two windows crossed, what only this one knows is written again.
      if (this.take(id, this.read(id)) && this.mayWrite) this.save(id);
    }
    this.onChange();
  }

  /* --- one window writes --- */

  holder() {
    try {
      return JSON.parse(localStorage.getItem(this.prefix + "window"));
    } catch (error) {
      return null;
    }
  }

  checkTurn() {
    const holder = this.holder();
    const gone = !holder || Date.now() - holder.at > kneeline.Store.silence || holder.at > Date.now() + 60000;
    const mine = holder && holder.id === this.id;
    const before = this.mayWrite;
    this.mayWrite = mine || gone;
    if (this.mayWrite && !mine) this.hold();
    if (before !== this.mayWrite) this.onChange();
  }

  hold() {
    try {
      localStorage.setItem(this.prefix + "window", JSON.stringify({ id: this.id, at: Date.now() }));
      this.deaf = false;
    } catch (error) {
      this.deaf = true; // full, or switched off: the reader is told before the first answer
    }
  }

  takeOver() {
    this.mayWrite = true;
    this.hold();
    for (const id of this.cases) this.take(id, this.read(id));
    this.onChange();
  }

  alive() {
    this.checkTurn();
    if (this.mayWrite) {
      this.hold();
      for (const id of [...this.unkept]) this.save(id);
    }
    if (this.remote) this.send();
  }

  leave() {
    const holder = this.holder();
    if (holder && holder.id === this.id) localStorage.removeItem(this.prefix + "window");
  }

  /* --- the server's file --- */

  async connect() {
    try {
      const theirs = await this.remote.all();
      for (const id of this.cases) {
        const differs = this.take(id, theirs[id] || {});
        if (differs) this.unsent.add(id);
        if (Object.keys(theirs[id] || {}).length && this.mayWrite) this.save(id);
      }
      this.connected = true;
    } catch (error) {
      this.connected = false;
    }
    this.onChange();
    this.send();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    try {
      if (this.connected === false) {
        this.sending = false;
        this.connected = undefined;
        await this.connect();
        return;
      }
      for (const id of [...this.unsent]) {
        const text = JSON.stringify(this.answers.get(id));
        await this.remote.keep(id, text);
        // An answer given while this one was on its way goes with the next round.
        if (JSON.stringify(this.answers.get(id)) === text) this.unsent.delete(id);
        this.savedAt = new Date();
        this.onChange();
      }
    } catch (error) {
      this.connected = false;
      this.onChange();
    } finally {
      this.sending = false;
    }
  }

  /* What the reader should know: "saved", "browser" (server away), "looking" (another window writes), "failed". */
  get state() {
    if (!this.mayWrite) return "looking";
    const kept = this.remote ? [...this.unkept].every((id) => !this.unsent.has(id)) : !this.unkept.size && !this.deaf;
    if (!kept) return "failed";
    if (this.remote && (this.unsent.size || !this.connected)) return this.connected === false ? "browser" : "sending";
    return "saved";
  }
};

/* The server of `kneeline read --serve`: it lives at the address of the page. */
kneeline.remote = () => location.protocol === "file:" ? null : {
  async all() {
    const answer = await fetch("answers", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.json();
  },
  async keep(id, text) {
    const answer = await fetch(`answers/${id}`, { method: "POST", body: text, headers: { "Content-Type": "application/json" } });
    if (!answer.ok) throw new Error(answer.statusText);
  },
};
