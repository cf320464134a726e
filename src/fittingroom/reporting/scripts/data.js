import { readPayload } from "./payload.js";

// The test images that the page holds, and every model's predictions for them. An image is named
// by its tile, a model and a class by their places in the lists of names.

export const data = readPayload({
  positions: Uint32Array,
  labels: Uint16Array,
  predicted: Uint16Array,
  probabilities: Uint8Array,
});

export function predictedClass(model, image) {
  return data.predicted[model * data.images + image];
}

export function isRight(model, image) {
  return predictedClass(model, image) === data.labels[image];
}

export function probability(model, image, label) {
  const row = model * data.images + image;
  return data.probabilities[row * data.classes.length + label] / 255;
}

export function percentText(share) {
  return `${Math.round(100 * share)}%`;
}

// The images for which `holds(image)`.
export function imagesWhere(holds) {
  return [...Array(data.images).keys()].filter(holds);
}
