// A model's predictions of many images, to be compared with those that it should make.

import { Model } from "./interpreter.js";

/**
 * @param {object} graph - see `Model`
 * @param {string} pixels - base64 of the images' bytes, one after the other
 * @param {number} size - bytes of an image
 * @param {number} seconds - no further image is begun after these
 * @returns {number[][]} probabilities (images, classes), of as many as there was time for
 */
export function predictAll(graph, pixels, size, seconds) {
  const bytes = Uint8Array.from(atob(pixels), (character) => character.charCodeAt(0));
  const model = new Model(graph);
  const predictions = [];
  const end = performance.now() + 1000 * seconds;
  for (let at = 0; at < bytes.length && performance.now() < end; at += size) {
    predictions.push(model.predict(bytes.subarray(at, at + size)));
  }
  return predictions;
}
