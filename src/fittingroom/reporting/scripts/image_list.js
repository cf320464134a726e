import { data, imagesWhere, isRight, percentText, predictedClass, probability } from "./data.js";
import { element } from "./elements.js";
import { startDetails } from "./details.js";
import { openerOf, tileOf } from "./tiles.js";

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
    const tile = tileOf(image, data.columns);
    return element("li", {}, openerOf(image, tile, captionOf(image, model)));
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

export function startImageDetails() {
  startDetails((dialog, image) => {
    const title = `Test image ${data.positions[image].toLocaleString("en")}: ${data.classes[data.labels[image]]}`;
    dialog.querySelector("h2").textContent = title;
    dialog.querySelector(".large").replaceChildren(tileOf(image, data.columns));
    dialog.querySelector(".scroll").replaceChildren(detailsOf(image));
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
