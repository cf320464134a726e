import { element } from "./elements.js";
import { readPayload } from "./payload.js";
import { openerOf, tileOf } from "./tiles.js";

// The images that the page holds, named by their tiles, those of the training split first; and
// near-duplicates. Differences are root mean squares, in hundredths.
export const held = readPayload({
  positions: Uint32Array,
  labels: Uint16Array,
  explored: Uint32Array,
  neighbours: Uint32Array,
  distances: Uint16Array,
  pairs: Uint32Array,
  pairDistances: Uint16Array,
});

const places = new Map([...held.explored].map((image, place) => [image, place]));

export function splitOf(image) {
  return image < held.trainTiles ? "train" : "test";
}

export function classOf(image) {
  return held.labels[image];
}

// The nearest training images with their differences, if the page holds them.
export function neighboursOf(image) {
  const start = places.get(image) * held.perImage;
  if (isNaN(start)) return [];
  return [...Array(held.perImage).keys()].map((i) => ({
    image: held.neighbours[start + i],
    difference: held.distances[start + i],
  }));
}

// "identical", "12.3".
export function differenceText(difference) {
  return difference ? (difference / 100).toFixed(1) : "identical";
}

export function captionOf(image) {
  const position = held.positions[image].toLocaleString("en");
  return `${splitOf(image)} ${position}: ${held.classes[classOf(image)]}`;
}

export function imageTile(image) {
  const number = splitOf(image) === "train" ? image : image - held.trainTiles;
  return tileOf(number, held.columns, splitOf(image));
}

// The image and its caption; a button for its details if the page holds its neighbours.
export function captioned(image, caption = captionOf(image)) {
  if (places.has(image)) return openerOf(image, imageTile(image), caption);
  return element("div", {}, imageTile(image), element("span", {}, caption));
}

// "1,234 images", "1 image".
export function countOf(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
