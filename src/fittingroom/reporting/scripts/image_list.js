import { data, imagesWhere, isRight, percentText, predictedClass, probability } from "./data.js";
import { element } from "./elements.js";

// An image, as large as its place on the page says; a text beside it says what it shows.
function tile(image) {
  const [row, column] = [Math.floor(image / data.columns), image % data.columns];
  return element("i", { class: "tile", "aria-hidden": true, style: `--x:${column};--y:${row}` });
}

// "4,711: Shirt → Coat, 98%": position, true class, predicted class and its probability.
function captionOf(image, model) {
  const label = predictedClass(model, image);
  const position = data.positions[image].toLocaleString("en");
  const share = percentText(probability(model, image, label));
  return `${position}: ${data.classes[data.labels[image]]} → ${data.classes[label]}, ${share}`;
}

// List items with a button for each image, which opens its details.
export function imageItems(images, model) {
  return images.map((image) => {
    const caption = captionOf(image, model);
    const opener = element("button", { type: "button", "data-image": image });
    opener.append(tile(image), element("span", {}, caption));
    return element("li", {}, opener);
  });
}

function detailsOf(image) {
  const models = [...data.models.keys()];
  const shown = [...data.classes.keys()].filter(
    (label) => data.classes.length <= 12 || models.some((m) => probability(m, image, label) >= 0.01),
  );
  const truth = data.labels[image];
  const heads = shown.map((label) =>
    element(
      "th",
      { scope: "col", class: label === truth ? "true" : "" },
      element("span", {}, data.classes[label]),
    ),
  );
  const head = element("tr", {}, element("th", { scope: "col" }, "Model"), ...heads);
  const body = element("tbody");
  for (const model of models) {
    const name = element("th", { scope: "row" }, data.models[model]);
    const row = element("tr", { class: isRight(model, image) ? "right" : "wrong" }, name);
    for (const label of shown) {
      const share = probability(model, image, label);
      const color = label === truth ? "blue" : "orange";
      const kind = label === predictedClass(model, image) ? "cell predicted" : "cell";
      const look = { class: `${kind} ${color}`, style: `--depth:${share.toFixed(3)}` };
      row.append(element("td", look, percentText(share)));
    }
    body.append(row);
  }
  return element("table", { class: "heat" }, element("thead", {}, head), body);
}

function openDetails(image, neighbours) {
  const dialog = document.getElementById("image");
  const step = (by) => {
    const at = neighbours.indexOf(image) + by;
    if (at >= 0 && at < neighbours.length) openDetails(neighbours[at], neighbours);
  };
  const title = `Test image ${data.positions[image].toLocaleString("en")}: ${data.classes[data.labels[image]]}`;
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector(".large").replaceChildren(tile(image));
  dialog.querySelector(".scroll").replaceChildren(detailsOf(image));
  dialog.onkeydown = (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  };
  dialog.querySelector("[name=previous]").onclick = () => step(-1);
  dialog.querySelector("[name=next]").onclick = () => step(1);
  if (!dialog.open) dialog.showModal();
}

// Buttons of images open the image's details, from which arrow keys lead to the others of its list.
export function startImageDetails() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-image]");
    if (!opener) return;
    const list = [...opener.closest("ul").querySelectorAll("[data-image]")];
    openDetails(Number(opener.dataset.image), list.map((each) => Number(each.dataset.image)));
  });
}

// What is said above a list of images.
export function countText(count, seed) {
  const [shown, held] = [count, data.images].map((number) => number.toLocaleString("en"));
  return `${shown} of the ${held} images on this page; predictions of seed ${seed}.`;
}

export function imagesOf({ trueClass, right = [], wrong = [] }) {
  return imagesWhere(
    (image) =>
      (trueClass === undefined || data.labels[image] === trueClass) &&
      right.every((model) => isRight(model, image)) &&
      wrong.every((model) => !isRight(model, image)),
  );
}
