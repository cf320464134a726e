// The page: a drawing or a picture goes to the server, whose answer is shown.

import { cutOut } from "./cutout.js";
import { Drawing } from "./drawing.js";
import { showOutline, showViews } from "./explanation.js";
import { ModelCard } from "./model_card.js";
import { acceptPictures, decodePicture } from "./picture_input.js";
import { hasToken, Refusal, request, useToken } from "./server.js";

/** Training images that are shown. */
const NEAREST = 6;
/** What the server reads; other files are converted. */
const READ = ["image/png", "image/jpeg", "image/webp"];
/** Bytes of a file from which on it is sent smaller, and the longest edge that it then has. */
const LARGE = 4 * 2 ** 20;
const LONGEST = 1280;
/** Milliseconds for which somebody rests the pen before a drawing is sent. */
const REST = 200;
/** Milliseconds after which the page says that it waits for the answer to a drawing. */
const PATIENCE = 400;
/** Width of the pen by preparation, as a share of the drawing. */
const PENS = { garment: 0.035, digit: 0.075 };
/** What somebody might draw, by preparation. */
const THINGS = { garment: "a garment", digit: "a digit" };

const element = (id) => document.getElementById(id);

let models = []; // as the server describes them
let cards = [];
let drawing = null;
let subject = null; // what is to be classified: {file}, {drawn: true}, or null
let running = null; // the AbortController of requests under way
let outdated = false; // whether the subject has changed since
let resting = null;

async function start() {
  let answer;
  try {
    answer = await request("/v1/models");
  } catch (error) {
    if (error.status === 401) {
      askForToken();
    } else {
      element("main").hidden = false;
      showProblem(error.message, start);
    }
    return;
  }
  element("access").hidden = true;
  element("token").value = "";
  element("main").hidden = false;
  showProblem("");
  if (!models.length) build(answer.models);
  if (subject) classify();
}

function build(described) {
  models = described;
  cards = models.map((model) => new ModelCard(element("models"), model));
  const names = models.map(({ name }) => name);
  element("lead").textContent =
    `Draw or open a picture. ${listed(names)} ${names.length > 1 ? "say" : "says"} what it shows.`;
  if (names.length === 1) {
    element("heading").textContent = "What the model says";
  }
  const [{ preparation, image_shape: shape }] = models;
  const light = preparation !== "image";
  document.body.dataset.ground = light ? "dark" : "light";
  element("hint").textContent = `Draw ${THINGS[preparation] ?? "something"} here, or open a photo`;
  drawing = new Drawing(element("drawing"), {
    shape,
    ink: light ? "#fff" : "#000",
    pen: PENS[preparation] ?? 0.06,
  });
  drawing.canvas.addEventListener("change", drawn);
  showNothing();
}

// Something is given ---------------------------------------------------------------------------

function drawn() {
  if (subject?.file) return; // cleared for the picture
  clearTimeout(resting);
  if (drawing.isEmpty) {
    subject = null;
    classify();
    return;
  }
  subject ??= { drawn: true };
  document.body.dataset.state = "drawing";
  element("undo").disabled = element("clear").disabled = false;
  resting = setTimeout(classify, REST);
}

async function takePicture(file) {
  if (!models.length) return;
  subject = { file };
  drawing.clear();
  await showPicture(file, subject);
  classify();
}

function clear() {
  subject = null;
  drawing.clear();
  classify();
}

// Classification -------------------------------------------------------------------------------

/** Classifies what is given now; one request at a time, so that a pen doesn't flood the server. */
async function classify() {
  if (running) {
    outdated = true;
    if (!subject?.drawn) running.abort();
    return;
  }
  do {
    outdated = false;
    showProblem("");
    if (subject === null) {
      showNothing();
      return;
    }
    const asked = subject;
    running = new AbortController();
    // Most answers to a drawing come before anybody would want to know of a wait.
    const slow = setTimeout(showBusy, asked.drawn ? PATIENCE : 0, "Looking at it …");
    try {
      const predictions = await predict(asked, running.signal);
      if (subject === asked) show(asked, predictions);
    } catch (error) {
      if (!outdated) fail(error);
    } finally {
      clearTimeout(slow);
      running = null;
    }
  } while (outdated);
  setBusy(false);
}

/** The answers by the models' names. */
async function predict(asked, signal) {
  const options = { signal, onBusy: () => showBusy("The server is busy. Waiting for it …") };
  const parameters = new URLSearchParams({ show: true, nearest: NEAREST });
  if (asked.file) {
    const body = await toSend(asked.file);
    return (await request(`/v1/photo?${parameters}`, { body, ...options })).predictions;
  }
  // A drawing becomes an image like the data's here, where its lines are known from its ground.
  parameters.set("as", "image");
  const found = {};
  for (const [key, names] of groupsAlike()) {
    const [preparation, shape] = JSON.parse(key);
    const { image, how } = cutOut(drawing.pixels(), preparation, shape, { drawn: true });
    const body = await asPng(image, shape);
    // All at once if they take the same image, and otherwise one after the other.
    for (const name of names.length === models.length ? [null] : names) {
      if (name !== null) parameters.set("model", name);
      const { predictions } = await request(`/v1/photo?${parameters}`, { body, ...options });
      for (const prediction of Object.values(predictions)) prediction.decisions = [how];
      Object.assign(found, predictions);
    }
  }
  return found;
}

/** The models' names by how their images are made. */
function groupsAlike() {
  const groups = new Map();
  for (const { name, preparation, image_shape: shape } of models) {
    const key = JSON.stringify([preparation, shape]);
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  return groups;
}

/** The file, or a smaller picture that the server reads. */
async function toSend(file) {
  if (READ.includes(file.type) && file.size <= LARGE) return file;
  const pixels = await decodePicture(file, LONGEST);
  return toBlob(pixels, "image/webp"); // browsers that can't write it write PNG
}

function asPng(image, [height, width]) {
  const pixels = new ImageData(width, height);
  image.forEach((level, i) => pixels.data.set([level, level, level, 255], 4 * i));
  return toBlob(pixels, "image/png");
}

function toBlob(pixels, type) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [pixels.width, pixels.height];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));
}

// What is shown --------------------------------------------------------------------------------

function show(asked, predictions) {
  for (const card of cards) card.show(predictions[card.model.name]);
  const said = models.map(({ name }) => predictions[name].top[0].label);
  element("summary").textContent = summary(said);
  element("summary").classList.remove("waiting");
  showCoverage(Object.values(predictions).some((prediction) => prediction.is_photo));
  const outlines = models.map(({ name }) => predictions[name].outline);
  showOutline(element("outline"), asked.file ? (outlines.find((lines) => lines.length) ?? []) : []);
  showViews(element("views"), models, predictions);
  element("explanation").hidden = false;
}

/** How far the models agree. */
function summary(said) {
  if (said.length === 1) return `${models[0].name} says ${said[0]}.`;
  const counts = new Map();
  for (const label of said) counts.set(label, (counts.get(label) ?? 0) + 1);
  const [first, count] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
  if (count === said.length) return `${count === 2 ? "Both" : `All ${count}`} models say ${first}.`;
  if (count === 1) return "Each model says something else.";
  return `${count} of ${said.length} models say ${first}.`;
}

function showCoverage(isPhoto) {
  const shares = new Set(models.map(({ coverage }) => coverage).filter((share) => share !== null));
  const [share] = shares;
  element("coverage").textContent =
    shares.size === 1
      ? `A set holds the true class of ${Math.round(100 * share)}% of images like those that the models ` +
        `were fitted on${isPhoto ? ", and of fewer photos" : ""}.`
      : "";
}

function setBusy(busy) {
  element("answers").setAttribute("aria-busy", busy);
}

function showBusy(text) {
  setBusy(true);
  element("summary").textContent = text;
  element("summary").classList.add("waiting");
}

function showNothing() {
  for (const card of cards) card.clear();
  element("summary").textContent = "The answer appears here.";
  element("summary").classList.add("waiting");
  element("coverage").textContent = "";
  element("explanation").hidden = true;
  setBusy(false);
  document.body.dataset.state = "empty";
  element("undo").disabled = element("clear").disabled = true;
}

async function showPicture(file, asked) {
  const image = element("picture");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  image.alt = file.name ? `Your picture ${file.name}` : "Your picture";
  showOutline(element("outline"), []);
  try {
    await image.decode();
  } catch {
    return; // the server says why
  }
  if (subject !== asked) return;
  // The picture and its outline in the same box, which fits into the stage.
  const { width, height } = drawing.canvas;
  const aspect = (image.naturalWidth / image.naturalHeight) * (height / width);
  element("given").style.setProperty("--wide", `${100 * Math.min(1, aspect)}%`);
  element("given").style.setProperty("--high", `${100 * Math.min(1, 1 / aspect)}%`);
  document.body.dataset.state = "picture";
  element("undo").disabled = true;
  element("clear").disabled = false;
}

function fail(error) {
  if (error.status === 401) {
    askForToken();
    return;
  }
  for (const card of cards) card.clear();
  element("explanation").hidden = true;
  element("summary").textContent = "";
  element("coverage").textContent = "";
  const passes = error instanceof Refusal && (error.status === 0 || error.status >= 500);
  showProblem(error.message, passes ? classify : null);
}

/** Says what went wrong, and offers to try it again. */
function showProblem(text, again = null) {
  element("problem").textContent = text;
  element("again").hidden = again === null;
  element("again").onclick = again;
}

function askForToken() {
  element("refused").textContent = hasToken() ? "That isn’t its token." : "";
  useToken("");
  element("main").hidden = true;
  element("access").hidden = false;
  element("token").value = "";
  element("token").focus();
}

function listed(names) {
  return new Intl.ListFormat("en-GB").format(names);
}

element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(element("token").value.trim());
  start();
});
element("undo").addEventListener("click", () => drawing.undo());
element("clear").addEventListener("click", clear);
document.addEventListener("keydown", (event) => {
  const undoes = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z";
  if (undoes && subject?.drawn) {
    event.preventDefault();
    drawing.undo();
  }
});
acceptPictures({
  area: element("stage"),
  inputs: [element("file"), element("camera")],
  onPicture: takePicture,
  onProblem: (text) => showProblem(text),
});
start();
