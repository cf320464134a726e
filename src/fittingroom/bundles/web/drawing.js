// A canvas to draw on with a mouse, a finger or a pen. Its ground stays transparent.

/** Sides of the longer edge of the drawing, in its own pixels, whatever its size on the page. */
const EDGE = 336;

/**
 * Turns a canvas into something to draw on.
 *
 * It emits "change" events on the canvas: after an undo or a clear, and at most once per frame
 * while a stroke is drawn.
 */
export class Drawing {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} options - `shape`: [height, width] of the model's images, for the aspect;
   *   `ink`: a colour; `pen`: width of the pen as a share of the longer edge
   */
  constructor(canvas, { shape = [1, 1], ink = "#fff", pen = 0.06 } = {}) {
    this.canvas = canvas;
    this.ink = ink;
    this.pen = pen;
    this.strokes = [];
    this.current = null; // the stroke being drawn, and the pointer that draws it
    this.pointer = null;
    this.waiting = false;
    const scale = EDGE / Math.max(...shape);
    canvas.height = Math.max(1, Math.round(shape[0] * scale));
    canvas.width = Math.max(1, Math.round(shape[1] * scale));
    canvas.style.touchAction = "none"; // a finger draws, it doesn't scroll
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#extend(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, (event) => this.#end(event));
    }
  }

  get isEmpty() {
    return this.strokes.length === 0;
  }

  /** Takes the last stroke back. */
  undo() {
    this.#leave();
    if (this.strokes.pop()) this.#repaint();
  }

  clear() {
    this.#leave();
    if (this.isEmpty) return;
    this.strokes = [];
    this.#repaint();
  }

  /** The drawing's RGBA pixels, an ImageData. */
  pixels() {
    return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  #begin(event) {
    if (this.current || event.button !== 0) return;
    event.preventDefault();
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.current = { width: this.pen * EDGE, points: [this.#position(event)] };
    this.strokes.push(this.current);
    this.#repaintSoon();
  }

  #extend(event) {
    if (event.pointerId !== this.pointer) return;
    // Browsers merge movements between two frames; the merged ones make smooth lines.
    const merged = event.getCoalescedEvents?.() ?? [];
    for (const each of merged.length ? merged : [event]) {
      this.current.points.push(this.#position(each));
    }
    this.#repaintSoon();
  }

  #end(event) {
    if (event.pointerId !== this.pointer) return;
    if (event.type === "pointerup") this.#extend(event);
    this.#leave();
  }

  #leave() {
    this.current = null;
    this.pointer = null;
  }

  /** A pointer's place in the canvas's own pixels, inside any border or padding. */
  #position(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.canvas.width,
      ((event.clientY - box.top) / box.height) * this.canvas.height,
    ];
  }

  /** At most once per frame. */
  #repaintSoon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.#repaint();
    });
  }

  /** Paints all strokes anew: painted piece by piece, a stroke would have other edges. */
  #repaint() {
    const { context } = this;
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.strokeStyle = this.ink;
    context.lineCap = "round";
    context.lineJoin = "round";
    for (const { width, points } of this.strokes) {
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points) context.lineTo(...point); // a single one makes a dot
      context.stroke();
    }
    this.canvas.dispatchEvent(new Event("change"));
  }
}
