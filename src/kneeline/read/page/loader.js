/* One case at a time is shown and the next one is fetched ahead; a page opened as a file may load scripts only. */
kneeline.Loader = class {
  constructor(cases) {
    this.cases = new Map(cases.map((one) => [one.id, one]));
    this.held = new Map();
    this.waiting = new Map();
    this.over = new Map(); // what lies over the slices; a blind page has nothing of the kind
    window.kneelineCase = (id, digest, text, over) => {
      const waiting = this.waiting.get(id);
      if (!waiting) return;
      this.waiting.delete(id);
      if (over) this.over.set(id, over);
      if (digest === this.cases.get(id).image) waiting.resolve(text);
      else waiting.reject(new Error("the images belong to another package; copy the whole folder again"));
    };
  }

  get(id) {
    if (!this.held.has(id)) {
      const damaged = () => { throw new Error("the file of this case is damaged; copy the whole folder again"); };
      const pixels = this.fetch(id).then((text) => kneeline.unpack(text, this.cases.get(id).shape).catch(damaged));
      pixels.catch(() => this.held.delete(id));
      this.held.set(id, pixels);
    }
    return this.held.get(id);
  }

  keep(ids) {
    for (const kept of [this.held, this.over]) for (const id of kept.keys()) if (!ids.includes(id)) kept.delete(id);
  }

  fetch(id) {
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      const script = document.createElement("script");
      script.charset = "windows-1252"; // one character a byte
      script.src = `cases/${id}.js`;
      script.onload = () => {
        script.remove();
        if (this.waiting.delete(id)) reject(new Error("the file of this case is damaged; copy the whole folder again"));
      };
      script.onerror = () => {
        script.remove();
        this.waiting.delete(id);
        reject(new Error("the file of this case is missing; copy the whole folder, not the page alone"));
      };
      document.head.append(script);
    });
  }
};
