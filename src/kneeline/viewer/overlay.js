/* A viewer that also shows what the machine found: outlines, T2, and where measurements were made.
   A voxel's centre has whole coordinates; outlines run half way between voxels. */

/* Dark violet to yellow (the corner colours of "plasma"): rises in brightness, tells apart for colour-blind eyes. */
kneeline.t2Colour = function (share) {
  const stops = [[38, 12, 120], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]];
  const at = Math.max(0, Math.min(0.9999, share)) * (stops.length - 1);
  const [from, to] = [stops[Math.floor(at)], stops[Math.floor(at) + 1]];
  return from.map((value, i) => Math.round(value + (to[i] - value) * (at % 1)));
};

/* Where two of four neighbouring centres differ, the outline crosses the cell from the middle of one side to that of
   another, by the corners inside (8 top left, 4 top right, 2 bottom right, 1 bottom left). The inside is always on the
   same hand, so that where one cell's line ends the next one's begins. Sides' middles in half voxels from top left. */
kneeline.crossings = (() => {
  const [top, right, bottom, left] = [[1, 0], [2, 1], [1, 2], [0, 1]];
  return [
    [], [[left, bottom]], [[bottom, right]], [[left, right]], [[right, top]], [[right, top], [left, bottom]], [[bottom, top]],
    [[left, top]], [[top, left]], [[top, bottom]], [[top, left], [bottom, right]], [[top, right]], [[right, left]],
    [[right, bottom]], [[bottom, left]], [],
  ];
})();

kneeline.Overlay = class extends kneeline.Viewer {
  constructor(canvas, onChange, onPoint) {
    super(canvas, onChange);
    this.onPoint = onPoint;
    this.over = null;
    this.hidden = new Set(); // values of structures
    this.outline = 0.9;
    this.fillShare = 0;
    this.t2Share = 0;
    this.t2Range = [0, 80];
    this.marks = true;
    this.chosen = null;
    this.tint = document.createElement("canvas");
  }

  /* labels, t2: a byte a voxel of the stack; places: as overlay.in_stack tells them. */
  showOver(over) {
    this.paths = new Map();
    this.over = over;
    if (!over) return;
    const [, rows, columns] = this.image.shape;
    this.inPlace = new Uint8Array(over.labels.length); // number of a component + 1
    over.places.forEach((place, number) => {
      if (!place.voxels) return;
      let at = 0;
      place.low = [Infinity, Infinity, Infinity];
      place.high = [-1, -1, -1];
      for (const step of place.voxels) {
        at += step;
        this.inPlace[at] = number + 1;
        [Math.floor(at / (rows * columns)), Math.floor(at / columns) % rows, at % columns].forEach((value, axis) => {
          place.low[axis] = Math.min(place.low[axis], value);
          place.high[axis] = Math.max(place.high[axis], value);
        });
      }
    });
    for (const place of over.places) {
      const points = place.ends || place.points;
      if (points) [place.low, place.high] = [Math.min, Math.max].map((pick) => [0, 1, 2].map((axis) => points.map((p) => p[axis]).reduce((a, b) => pick(a, b))));
    }
    this.draw();
  }

  /* What is not of the main findings is drawn only while it is chosen. */
  isSeen(place) {
    return this.marks && (!place.quiet || place === this.chosen);
  }

  /* Go where a measurement was made and mark it. */
  choose(place) {
    this.chosen = place;
    if (place) {
      this.plane = 0;
      this.slice = Math.max(0, Math.min(this.count - 1, place.slice));
      this.ruled = null;
    }
    this.draw();
  }
  /* Whether a place lies on a slice of the plane that is shown. */
  holds(place, slice = this.slice) {
    const axis = this.axes[0];
    return Math.round(place.low[axis]) <= slice && slice <= Math.round(place.high[axis]);
  }
  zoomTo(place) {
    const zoom = 4;
    const [, down, right] = this.axes;
    const { shape, spacing } = this.image;
    const middle = place.low.map((low, axis) => (low + place.high[axis]) / 2);
    const across = this.flipped ? shape[right] - 1 - middle[right] : middle[right];
    const scale = (this.scale / this.zoom) * zoom;
    this.zoom = zoom;
    this.pan = [(shape[right] / 2 - across - 0.5) * spacing[right] * scale, (shape[down] / 2 - middle[down] - 0.5) * spacing[down] * scale];
    this.draw();
  }

  toggle(values, on) {
    for (const value of values) {
      if (on) this.hidden.delete(value);
      else this.hidden.add(value);
    }
    this.draw();
  }

  /* Centre of a voxel of the shown plane in mm from the slice's corner. */
  at(column, row) {
    const [, down, right] = this.axes;
    const { shape, spacing } = this.image;
    return [((this.flipped ? shape[right] - 1 - column : column) + 0.5) * spacing[right], (row + 0.5) * spacing[down]];
  }
  toScreen([x, y]) {
    return [this.corner[0] + x * this.scale, this.corner[1] + y * this.scale];
  }
  get strides() {
    const { shape } = this.image;
    return [shape[1] * shape[2], shape[2], 1];
  }

  /* Outlines of every value of a slice, in mm: {value: Path2D}. */
  outlines(name, array) {
    const key = `${name}/${this.plane}/${this.slice}`;
    if (this.paths.has(key)) return this.paths.get(key);
    if (this.paths.size > 60) this.paths.clear();
    const [across, down, right] = this.axes;
    const { shape } = this.image;
    const [rows, columns] = [shape[down], shape[right]];
    const step = this.strides;
    const base = this.slice * step[across];
    const [toDown, toRight] = [step[down], step[right]];
    const value = (row, column) => (row < 0 || column < 0 || row >= rows || column >= columns ? 0 : array[base + row * toDown + column * toRight]);
    const lines = new Map(); // of each value: where a piece begins, and where it ends
    const wide = 2 * columns + 4;
    const cross = (inside, corners, row, column) => {
      if (!lines.has(inside)) lines.set(inside, new Map());
      for (const [from, to] of kneeline.crossings[corners]) {
        const start = (2 * row + 2) * wide + 2 * column + 2;
        lines.get(inside).set(start + from[1] * wide + from[0], start + to[1] * wide + to[0]);
      }
    };
    for (let row = -1; row < rows; row++) {
      for (let column = -1, a = 0, d = 0; column < columns; column++) {
        const b = value(row, column + 1);
        const c = value(row + 1, column + 1);
        if (a !== b || b !== c || c !== d) {
          const corners = (one) => (a === one ? 8 : 0) | (b === one ? 4 : 0) | (c === one ? 2 : 0) | (d === one ? 1 : 0);
          if (a) cross(a, corners(a), row, column);
          if (b && b !== a) cross(b, corners(b), row, column);
          if (c && c !== a && c !== b) cross(c, corners(c), row, column);
          if (d && d !== a && d !== b && d !== c) cross(d, corners(d), row, column);
        }
        [a, d] = [b, c];
      }
    }
    const found = new Map();
    for (const [inside, next] of lines) {
      const path = new Path2D();
      const point = (key) => this.at((key % wide) / 2 - 1, Math.floor(key / wide) / 2 - 1);
      while (next.size) {
        const first = next.keys().next().value;
        path.moveTo(...point(first));
        for (let at = first; next.has(at); ) {
          const to = next.get(at);
          next.delete(at);
          at = to;
          if (at !== first) path.lineTo(...point(at));
        }
        path.closePath();
      }
      found.set(inside, path);
    }
    this.paths.set(key, found);
    return found;
  }

  paintOver(pen, size) {
    if (!this.over) return;
    this.paintTint(pen, size);
    pen.save();
    pen.translate(...this.corner);
    pen.scale(this.scale, this.scale);
    pen.lineJoin = "round";
    const strokes = { bone: [1, 0.6], cartilage: [1.2, 0.85], meniscus: [1.8, 1], fluid: [1.6, 1] };
    if (this.outline) {
      const paths = this.outlines("labels", this.over.labels);
      for (const { value, color, group } of [...this.over.structures].reverse()) {
        const path = !this.hidden.has(value) && paths.get(value);
        if (!path) continue;
        const [width, strength] = strokes[group];
        pen.globalAlpha = this.outline * strength;
        if (width > 1.5) this.stroke(pen, path, "#000", width + 1.6, 0.45);
        this.stroke(pen, path, color, width);
      }
    }
    if (this.marks) {
      for (const [number, path] of this.outlines("places", this.inPlace)) {
        const place = this.over.places[number - 1];
        if (!this.isSeen(place)) continue;
        pen.globalAlpha = 1;
        pen.setLineDash(place.counted ? [] : [2.5 / this.scale, 3 / this.scale]);
        if (place === this.chosen) this.stroke(pen, path, "#fff", 4.6);
        this.stroke(pen, path, "#000", 3.4, 0.6);
        this.stroke(pen, path, "#ff5ce1", 1.7);
        pen.setLineDash([]);
      }
    }
    pen.restore();
    if (this.marks) {
      for (const place of this.over.places) if (place.points && this.isSeen(place) && this.holds(place)) this.paintPoints(pen, place);
      for (const place of this.over.places) if (place.ends && this.holds(place)) this.paintLine(pen, place);
      if (this.chosen && this.holds(this.chosen)) this.paintName(pen, this.chosen);
    }
  }

  stroke(pen, path, ink, width, strength = 1) {
    const alpha = pen.globalAlpha;
    pen.globalAlpha = alpha * strength;
    pen.strokeStyle = ink;
    pen.lineWidth = width / this.scale;
    pen.stroke(path);
    pen.globalAlpha = alpha;
  }

  /* Colours over the slice: labels filled, then T2. Voxels stay sharp: they are what was measured. */
  paintTint(pen, size) {
    if (!this.fillShare && !(this.over.t2 && this.t2Share)) return;
    const [across, down, right] = this.axes;
    const { shape } = this.image;
    const [rows, columns] = [shape[down], shape[right]];
    const step = this.strides;
    if (this.tint.width !== columns || this.tint.height !== rows) [this.tint.width, this.tint.height] = [columns, rows];
    const tint = this.tint.getContext("2d");
    const frame = tint.createImageData(columns, rows);
    const out = new Uint32Array(frame.data.buffer);
    const colour = new Uint32Array(256);
    for (const { value, color } of this.over.structures) {
      if (this.hidden.has(value) || !this.fillShare) continue;
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
      colour[value] = ((Math.round(this.fillShare * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
    }
    const heat = new Uint32Array(256);
    if (this.over.t2 && this.t2Share) {
      const [low, high] = this.t2Range;
      for (let n = 1; n < 256; n++) {
        const [r, g, b] = kneeline.t2Colour((n * this.over.t2Step - low) / (high - low));
        heat[n] = ((Math.round(this.t2Share * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
      }
    }
    const { labels, t2 } = this.over;
    for (let row = 0, i = 0; row < rows; row++) {
      let from = this.slice * step[across] + row * step[down] + (this.flipped ? (columns - 1) * step[right] : 0);
      const along = this.flipped ? -step[right] : step[right];
      for (let column = 0; column < columns; column++, i++, from += along) out[i] = (t2 && heat[t2[from]]) || colour[labels[from]];
    }
    tint.putImageData(frame, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.tint, this.corner[0], this.corner[1], size[0] * this.scale, size[1] * this.scale);
    pen.imageSmoothingEnabled = true;
  }

  /* A measured length with an end mark on both sides. */
  paintLine(pen, place) {
    const [, down, right] = this.axes;
    const [from, to] = place.ends.map((end) => this.toScreen(this.at(end[right], end[down])));
    const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
    const mark = Math.min(5, Math.max(3, length / 3));
    const [nx, ny] = [(-(to[1] - from[1]) / length) * mark, ((to[0] - from[0]) / length) * mark];
    const path = new Path2D();
    path.moveTo(...from);
    path.lineTo(...to);
    for (const [x, y] of [from, to]) {
      path.moveTo(x - nx, y - ny);
      path.lineTo(x + nx, y + ny);
    }
    pen.lineCap = "butt";
    for (const [ink, width] of [[place === this.chosen ? "#fff" : "#000", place === this.chosen ? 5 : 3.6], ["#000", 3.2], ["#5cf2ff", 1.7]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = width;
      pen.stroke(path);
    }
    if (place.table === "effusion" && place !== this.chosen) this.write(pen, `${place.mm.toFixed(1)} mm`, to[0] - 58, to[1] + 4, "#5cf2ff");
  }

  /* Points of a surface that are nearest to this slice. */
  pointsHere(place) {
    const [across, down, right] = this.axes;
    return place.points.filter((p) => Math.round(p[across]) === this.slice).map((p) => this.toScreen(this.at(p[right], p[down])));
  }
  paintPoints(pen, place) {
    const radius = Math.max(1.8, 0.35 * this.scale);
    for (const [grow, ink] of [[place === this.chosen ? 1.6 : 1, place === this.chosen ? "#fff" : "#000"], [0, "#ff5ce1"]]) {
      pen.fillStyle = ink;
      for (const [x, y] of this.pointsHere(place)) {
        pen.beginPath();
        pen.arc(x, y, radius + grow, 0, 2 * Math.PI);
        pen.fill();
      }
    }
  }

  paintName(pen, place) {
    const [, down, right] = this.axes;
    const corner = this.at(this.flipped ? place.low[right] : place.high[right], place.low[down]);
    const [x, y] = this.toScreen(corner);
    const box = this.canvas.getBoundingClientRect();
    pen.font = "13px system-ui, sans-serif";
    const width = pen.measureText(place.words).width;
    this.write(pen, place.words, Math.max(8, Math.min(x + 8, box.width - width - 50)), Math.max(20, y - 8), "#fff");
  }

  /* What is under the pointer. */
  hover(event) {
    this.onPoint(event && this.over ? this.pointAt(...this.pointer(event)) : null);
  }
  pointAt(x, y) {
    const [across, down, right] = this.axes;
    const { shape, spacing, pixels, low, step } = this.image;
    let column = Math.floor((x - this.corner[0]) / this.scale / spacing[right]);
    const row = Math.floor((y - this.corner[1]) / this.scale / spacing[down]);
    if (column < 0 || row < 0 || column >= shape[right] || row >= shape[down]) return null;
    if (this.flipped) column = shape[right] - 1 - column;
    const at = [0, 0, 0];
    [at[across], at[down], at[right]] = [this.slice, row, column];
    const flat = at[0] * this.strides[0] + at[1] * this.strides[1] + at[2];
    const value = this.over.labels[flat];
    const line = this.over.places.find((place) => !place.voxels && this.isSeen(place) && this.holds(place) && this.isNear(place, x, y));
    const component = this.inPlace[flat] ? this.over.places[this.inPlace[flat] - 1] : null;
    return {
      x, y, voxel: at, signal: low + step * pixels[flat],
      structure: this.over.structures.find((one) => one.value === value) || null,
      place: line || (component && this.isSeen(component) ? component : null),
      t2: this.over.t2 && this.over.t2[flat] ? this.over.t2[flat] * this.over.t2Step : null,
    };
  }
  isNear(place, x, y) {
    if (place.points) return this.pointsHere(place).some(([px, py]) => Math.hypot(x - px, y - py) < 6);
    const [, down, right] = this.axes;
    const [from, to] = place.ends.map((end) => this.toScreen(this.at(end[right], end[down])));
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const share = Math.max(0, Math.min(1, ((x - from[0]) * dx + (y - from[1]) * dy) / (dx * dx + dy * dy || 1)));
    return Math.hypot(x - from[0] - share * dx, y - from[1] - share * dy) < 7;
  }
};
