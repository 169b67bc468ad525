/* One slice on a 2-D canvas, in its true shape. Draws and measures; knows nothing of answers. */

kneeline.Viewer = class {
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.image = null;
    this.ruling = false;
    this.buffer = document.createElement("canvas");
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.listen();
  }

  show(info, pixels) {
    this.image = pixels && { ...info, pixels };
    this.plane = 0;
    if (pixels) this.reset();
  }

  /* Axes of each plane as [across slices, down, to the right]. Axes of the stack: from lateral to medial, down, back. */
  get axes() {
    return [[0, 1, 2], [2, 1, 0], [1, 2, 0]][this.plane];
  }
  get planeName() {
    return ["sagittal", "coronal", "axial"][this.plane];
  }
  get count() {
    return this.image.shape[this.axes[0]];
  }
  /* Patient's right is on the left of a coronal or axial picture. */
  get flipped() {
    return this.plane > 0 && this.image.axes[0] === "R";
  }
  get sides() {
    if (this.plane === 0) return { top: "S", bottom: "I", left: "A", right: "P" };
    const [top, bottom] = this.plane === 1 ? ["S", "I"] : ["A", "P"];
    return { top, bottom, left: "R", right: "L" };
  }
  get ends() {
    return [["lateral", "medial"], ["anterior", "posterior"], ["superior", "inferior"]][this.plane];
  }

  reset() {
    this.slice = this.plane === 0 || this.slice === undefined ? this.count >> 1 : Math.min(this.slice, this.count - 1);
    [this.low, this.high] = this.image.window;
    this.inverted = false;
    this.refit();
  }
  refit() {
    this.zoom = 1;
    this.pan = [0, 0];
    this.ruled = null;
    this.draw();
  }
  turn() {
    if (!this.image) return;
    this.plane = (this.plane + 1) % 3;
    this.slice = this.count >> 1;
    this.refit();
  }
  move(by) {
    if (this.image) this.go(this.slice + by);
  }
  go(slice) {
    const to = Math.max(0, Math.min(this.count - 1, slice));
    if (to === this.slice) return;
    this.slice = to;
    this.ruled = null;
    this.draw();
  }
  /* Shares of the first window: make the window wider, its middle higher. */
  grey(wider, higher) {
    if (!this.image) return;
    const unit = this.image.window[1] - this.image.window[0];
    const width = Math.max(2, this.high - this.low + wider * unit);
    const middle = Math.max(0, Math.min(this.image.highest, (this.low + this.high) / 2 + higher * unit));
    [this.low, this.high] = [middle - width / 2, middle + width / 2];
    this.draw();
  }
  enlarge(factor, at = null) {
    if (!this.image) return;
    const zoom = Math.max(0.5, Math.min(16, this.zoom * factor));
    // The point under the pointer stays where it is.
    if (at) this.pan = this.pan.map((shift, axis) => at[axis] - (at[axis] - shift) * (zoom / this.zoom));
    this.zoom = zoom;
    this.draw();
  }
  shift(x, y) {
    if (!this.image) return;
    this.pan = [this.pan[0] + x, this.pan[1] + y];
    this.draw();
  }
  invert() {
    this.inverted = !this.inverted;
    this.draw();
  }

  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = null;
      this.paint();
    });
  }

  paint() {
    const box = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, width, height);
    if (!this.image) return;
    const [, down, right] = this.axes;
    const size = [this.image.shape[right] * this.image.spacing[right], this.image.shape[down] * this.image.spacing[down]];
    this.scale = this.zoom * Math.min(box.width / size[0], (box.height - 8) / size[1]); // screen pixels a millimetre
    this.corner = [0, 1].map((axis) => ([box.width, box.height][axis] - size[axis] * this.scale) / 2 + this.pan[axis]);
    this.fill();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.buffer, this.corner[0], this.corner[1], size[0] * this.scale, size[1] * this.scale);
    this.paintOver(pen, size);
    if (this.ruled) this.paintRuler(pen);
    this.paintScale(pen, box);
    this.onChange(this);
  }

  /* The slice's own pixels through the window, into the buffer. */
  fill() {
    const { shape, pixels, highest } = this.image;
    const [, down, right] = this.axes;
    const [rows, columns] = [shape[down], shape[right]];
    const step = [shape[1] * shape[2], shape[2], 1];
    const map = new Uint32Array(highest + 1);
    for (let n = 0; n <= highest; n++) {
      let grey = Math.round(Math.max(0, Math.min(1, (n - this.low) / (this.high - this.low))) * 255);
      if (this.inverted) grey = 255 - grey;
      map[n] = 0xff000000 | (grey * 0x010101);
    }
    if (this.buffer.width !== columns || this.buffer.height !== rows) [this.buffer.width, this.buffer.height] = [columns, rows];
    const pen = this.buffer.getContext("2d");
    const frame = pen.createImageData(columns, rows);
    const out = new Uint32Array(frame.data.buffer);
    const along = this.flipped ? -step[right] : step[right];
    for (let row = 0, i = 0; row < rows; row++) {
      let at = this.slice * step[this.axes[0]] + row * step[down] + (this.flipped ? (columns - 1) * step[right] : 0);
      for (let column = 0; column < columns; column++, i++, at += along) out[i] = map[pixels[at]];
    }
    pen.putImageData(frame, 0, 0);
  }

  /* For viewers that show more than the slice: what lies over it, and what is under the pointer. */
  paintOver() {}
  hover() {}

  paintRuler(pen) {
    const [from, to] = this.ruled.map((point) => point.map((mm, axis) => this.corner[axis] + mm * this.scale));
    pen.lineWidth = 1.5;
    pen.strokeStyle = "#ffd84a";
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
    this.write(pen, `${this.ruledLength.toFixed(1)} mm`, to[0] + 8, to[1] - 6, "#ffd84a");
  }
  get ruledLength() {
    const [from, to] = this.ruled;
    return Math.hypot(to[0] - from[0], to[1] - from[1]);
  }

  /* Two centimetres, to see sizes at a glance. */
  paintScale(pen, box) {
    const [x, from, to] = [box.width - 16, box.height / 2 - 10 * this.scale, box.height / 2 + 10 * this.scale];
    pen.strokeStyle = "#9fb0c0";
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x - 5, from);
    pen.lineTo(x, from);
    pen.lineTo(x, to);
    pen.lineTo(x - 5, to);
    pen.stroke();
    this.write(pen, "2 cm", x - 34, to + 14, "#9fb0c0");
  }

  write(pen, text, x, y, ink) {
    pen.font = "13px system-ui, sans-serif";
    pen.lineWidth = 3;
    pen.strokeStyle = "#000";
    pen.strokeText(text, x, y);
    pen.fillStyle = ink;
    pen.fillText(text, x, y);
  }

  /* --- mouse --- */

  listen() {
    const canvas = this.canvas;
    let rest = 0;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (!this.image) return;
      if (event.ctrlKey) return this.enlarge(Math.exp(-event.deltaY / 300), this.fromMiddle(event));
      // A mouse wheel jumps by 100 or so: one slice; a touchpad trickles: its small steps add up.
      rest = Math.sign(rest) === Math.sign(event.deltaY) ? rest + event.deltaY : event.deltaY;
      if (event.deltaMode || Math.abs(event.deltaY) >= 50 || Math.abs(rest) >= 30) {
        this.move(Math.sign(event.deltaY));
        rest = 0;
      }
    }, { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.image) return;
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      const kind = event.button === 1 ? "pan" : event.button === 2 ? "zoom" : event.shiftKey || this.ruling ? "rule" : "grey";
      this.drag = { kind, x: event.clientX, y: event.clientY, start: this.fromMiddle(event) };
      if (kind === "rule") this.ruled = [this.millimetres(event), this.millimetres(event)];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.drag) return this.hover(event);
      const [x, y] = [event.clientX - this.drag.x, event.clientY - this.drag.y];
      [this.drag.x, this.drag.y] = [event.clientX, event.clientY];
      if (this.drag.kind === "grey") this.grey(x / 300, -y / 400);
      else if (this.drag.kind === "pan") this.shift(x, y);
      else if (this.drag.kind === "zoom") this.enlarge(Math.exp(-y / 200), this.drag.start);
      else {
        this.ruled[1] = this.millimetres(event);
        this.draw();
      }
    });
    const end = () => {
      if (this.drag && this.drag.kind === "rule" && this.ruledLength < 0.5) this.ruled = null;
      this.drag = null;
      this.draw();
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", () => this.image && this.refit());
  }
  pointer(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
  fromMiddle(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = this.pointer(event);
    return [x - box.width / 2, y - box.height / 2];
  }
  millimetres(event) {
    return this.pointer(event).map((value, axis) => (value - this.corner[axis]) / this.scale);
  }
};
