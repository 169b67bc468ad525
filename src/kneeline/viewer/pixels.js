/* Pixels of a case: inflated, then each pixel is what its neighbours predict plus what was stored (pixels.py). */

/* The characters of windows-1252 whose numbers are not those of their bytes. */
kneeline.strange = new Map([...new TextDecoder("windows-1252").decode(Uint8Array.from({ length: 32 }, (_, i) => 128 + i))]
  .map((character, i) => [character.charCodeAt(0), 128 + i]));

/* A deflated stream of so many bytes. */
kneeline.inflate = async function (text, count) {
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    packed[i] = code < 256 ? code : kneeline.strange.get(code);
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (bytes.length !== count) throw new Error("the data do not fill the slices");
  return bytes;
};

kneeline.unpack = async function (text, shape) {
  const [slices, rows, columns] = shape;
  const count = slices * rows * columns;
  const bytes = await kneeline.inflate(text, 2 * count);
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
