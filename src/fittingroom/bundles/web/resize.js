// Grey pictures and other planes of numbers, scaled. A plane is {width, height, values}.

/** A plane scaled to another size, with a triangle filter that is as wide as what it skips. */
export function resize(plane, width, height) {
  return transposed(scaleRows(transposed(scaleRows(plane, width)), height));
}

/** The part of a plane in a box {left, top, right, bottom}; right and bottom lie outside it. */
export function crop(plane, { left, top, right, bottom }) {
  const width = right - left;
  const height = bottom - top;
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const start = (top + y) * plane.width + left;
    values.set(plane.values.subarray(start, start + width), y * width);
  }
  return { width, height, values };
}

function scaleRows({ width: from, height, values }, to) {
  const scale = from / to;
  const reach = Math.max(1, scale); // of the filter, to either side
  const scaled = new Float32Array(to * height);
  for (let x = 0; x < to; x++) {
    const centre = (x + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const last = Math.min(from, Math.floor(centre + reach + 0.5));
    const weights = [];
    for (let k = first; k < last; k++) {
      weights.push(Math.max(0, 1 - Math.abs(k + 0.5 - centre) / reach));
    }
    const total = weights.reduce((a, b) => a + b, 0);
    for (let y = 0; y < height; y++) {
      let sum = 0;
      for (let k = first; k < last; k++) sum += weights[k - first] * values[y * from + k];
      scaled[y * to + x] = sum / total;
    }
  }
  return { width: to, height, values: scaled };
}

function transposed({ width, height, values }) {
  const turned = new Float32Array(values.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) turned[x * height + y] = values[y * width + x];
  }
  return { width: height, height: width, values: turned };
}
