// The page: a drawing or a picture becomes an image, the model predicts it, the bars show it.

import { Bars, percent } from "./bars.js";
import { cutOut, LONGEST } from "./cutout.js";
import { Drawing } from "./drawing.js";
import { Model } from "./interpreter.js";
import { acceptPictures, decodePicture } from "./picture_input.js";

/** Milliseconds after which a result is read out, so that a drawing isn't commented line by line. */
const PAUSE = 700;
/** Width of the pen by preparation, as a share of the drawing. */
const PENS = { garment: 0.035, digit: 0.075 };

const element = (id) => document.getElementById(id);
const { graph, classes, shape, preparation, dark } = JSON.parse(element("model").textContent);
const model = new Model(graph);
const bars = new Bars(element("bars"), classes);
const drawing = new Drawing(element("drawing"), {
  shape,
  ink: dark ? "#fff" : "#000",
  pen: PENS[preparation] ?? 0.06,
});
const seen = element("seen");
[seen.height, seen.width] = shape;

let picture = null; // the ImageData of a picture that was given; null while somebody draws
let newest = 0; // the number of the picture that was given last
let timer = null;
let announcement = null;
let duration = 0; // milliseconds of the last answer

function answer() {
  timer = null;
  element("answer").ariaBusy = "false";
  const start = performance.now();
  const drawn = picture === null;
  if (drawn && drawing.isEmpty) return showNothing();
  const negative = element("negative")?.checked ?? false;
  const options = { drawn, dark, negative };
  const given = drawn ? drawing.pixels() : picture;
  const { image, mask, how } = cutOut(given, preparation, shape, options);
  const probabilities = model.predict(image);
  duration = performance.now() - start;
  bars.show(probabilities);
  showSeen(image);
  showMask(mask);
  const best = probabilities.indexOf(Math.max(...probabilities));
  element("best").textContent = classes[best];
  element("share").textContent = percent(probabilities[best]);
  element("how").textContent = how;
  element("time").textContent = `Answered in ${Math.max(1, Math.round(duration))} ms.`;
  announce(`${classes[best]}, ${percent(probabilities[best])}. ${how}`);
  document.body.dataset.state = drawn ? "drawing" : "picture";
  element("undo").disabled = !drawn;
  element("clear").disabled = false;
}

/** Answers as soon as the last answer's own time allows, so that a slow model doesn't halt the pen. */
function answerSoon() {
  element("answer").ariaBusy = "true";
  timer ??= setTimeout(answer, duration > 30 ? 2 * duration : 0);
}

function showNothing() {
  bars.clear();
  for (const id of ["best", "share", "how", "time"]) element(id).textContent = "";
  seen.getContext("2d").clearRect(0, 0, seen.width, seen.height);
  announce("");
  document.body.dataset.state = "empty";
  element("undo").disabled = true;
  element("clear").disabled = true;
}

/** Each pixel that the model gets as a pixel. */
function showSeen(image) {
  const pixels = new ImageData(seen.width, seen.height);
  image.forEach((level, i) => pixels.data.set([level, level, level, 255], 4 * i));
  seen.getContext("2d").putImageData(pixels, 0, 0);
}

/** Dims all of a picture but the object. */
function showMask(mask) {
  const canvas = element("mask");
  [canvas.width, canvas.height] = [picture?.width ?? 1, picture?.height ?? 1];
  // The picture and the mask in the same box, which fits into the drawing's.
  const aspect = (canvas.width / canvas.height) * (shape[0] / shape[1]);
  element("given").style.setProperty("--wide", `${100 * Math.min(1, aspect)}%`);
  element("given").style.setProperty("--high", `${100 * Math.min(1, 1 / aspect)}%`);
  if (mask === null) return;
  const pixels = new ImageData(canvas.width, canvas.height);
  mask.forEach((inside, i) => (pixels.data[4 * i + 3] = inside ? 0 : 150));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function announce(text) {
  clearTimeout(announcement);
  announcement = setTimeout(() => (element("announcement").textContent = text), PAUSE);
}

function showProblem(text) {
  element("problem").textContent = text;
  element("problem").hidden = text === "";
}

async function takePicture(file) {
  const number = ++newest;
  showProblem("");
  let decoded;
  try {
    decoded = await decodePicture(file, Math.max(LONGEST, ...shape));
  } catch (error) {
    if (number === newest) showProblem(error.message);
    return;
  }
  if (number !== newest) return; // another one was given meanwhile
  const shown = element("picture");
  URL.revokeObjectURL(shown.src);
  shown.src = URL.createObjectURL(file);
  shown.alt = file.name ? `Your picture ${file.name}` : "Your picture";
  picture = decoded;
  drawing.clear();
  answer();
}

function clear() {
  newest += 1;
  picture = null;
  showProblem("");
  drawing.clear();
  answer();
}

drawing.canvas.addEventListener("change", () => {
  if (picture === null) answerSoon();
});
element("undo").addEventListener("click", () => drawing.undo());
element("clear").addEventListener("click", clear);
element("negative")?.addEventListener("change", answer);
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z" && picture === null) {
    event.preventDefault();
    drawing.undo();
  }
});
acceptPictures({
  area: element("stage"),
  inputs: [element("file"), element("camera")],
  onPicture: takePicture,
  onProblem: showProblem,
});
showNothing();
// The first prediction takes the longest, since the browser compiles the model's code meanwhile.
setTimeout(() => model.predict(new Uint8Array(shape[0] * shape[1])), 100);
