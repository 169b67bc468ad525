/* Pixels of a case: inflated, then each pixel is what its neighbours predict plus what was stored (pixels.py). */

/* The characters of windows-1252 whose numbers are not those of their bytes. */
kneeline.strange = new Map([...new TextDecoder("windows-1252").decode(Uint8Array.from({ length: 32 }, (_, i) => 128 + i))]
  .map((character, i) => [character.charCodeAt(0), 128 + i]));

kneeline.unpack = async function (text, shape) {
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    packed[i] = code < 256 ? code : kneeline.strange.get(code);
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const [slices, rows, columns] = shape;
  const count = slices * rows * columns;
  if (bytes.length !== 2 * count) throw new Error("the pixels do not fill the slices");
  const out = new Uint16Array(count);
  for (let slice = 0, i = 0; slice < slices; slice++) {
    for (let row = 0; row < rows; row++) {
      let left = 0;
      for (let column = 0; column < columns; column++, i++) {
        const folded = bytes[i] | (bytes[i + count] << 8);
        const above = row ? out[i - columns] : 0;
        left = (((left + above) >> 1) + ((folded >>> 1) ^ -(folded & 1))) & 0xffff;
        out[i] = left;
      }
    }
    if (slice % 24 === 23) await new Promise((go) => setTimeout(go)); // the page stays alive meanwhile
  }
  return out;
};

/* One case at a time is shown and the next one is fetched ahead; a page opened as a file may load scripts only. */
kneeline.Loader = class {
  constructor(cases) {
    this.cases = new Map(cases.map((one) => [one.id, one]));
    this.held = new Map();
    this.waiting = new Map();
    window.kneelineCase = (id, digest, text) => {
      const waiting = this.waiting.get(id);
      if (!waiting) return;
      this.waiting.delete(id);
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
    for (const id of this.held.keys()) if (!ids.includes(id)) this.held.delete(id);
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
