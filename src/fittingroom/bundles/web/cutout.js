// A picture as an image like the model's data: found, trimmed, scaled and centred, the simple way.
//
// What `fittingroom predict` does is more elaborate: several guesses of the object, refined, and
// several views of each. Here the ground has the colours of the picture's four sides, and the object
// is the largest piece that differs from them.

import { crop, resize } from "./resize.js";

/** Longest edge in pixels at which an object is looked for. */
export const LONGEST = 224;
/** Least value of an object's pixel, so that a white garment isn't lost on black. */
const LEAST = 2;
/** A picture of at most this many pixels per side may be an image of the data itself. */
const SMALL = 64;
/** The longest side of a digit's ink, as a share of the image's. */
const DIGIT = 20 / 28;
/** How bright what a drawing's lines enclose is: cloth, whose seams are the lines. */
const CLOTH = 200;
/** How far lines may stop short of each other and still enclose something; half of that. */
const GAP = 0.03;
/** Least distance, in levels, between an object and its ground. */
const CONTRAST = 24;
/** The smallest piece of ink that isn't a speck, as a share of the largest. */
const SPECK = 0.04;

/**
 * The image that the model gets of a picture.
 *
 * @param {{width: number, height: number, data: ArrayLike<number>}} picture - RGBA, as ImageData
 * @param {string} preparation - "garment", "digit", "image" or "image-on-black"
 * @param {[number, number]} shape - height and width of the model's images
 * @param {object} options - `drawn`: it is a drawing, opaque where there is a line; for the
 *   preparations that take the whole picture, `dark`: a drawing's lines are light on black, not
 *   dark on white, and `negative`: dark becomes light and light dark
 * @returns {{image: Uint8Array, mask: Uint8Array|null, how: string}} the image, row by row; where
 *   the object is in the picture, if it was looked for; and a sentence
 */
export function cutOut(picture, preparation, shape, options = {}) {
  const { drawn = false } = options;
  if (preparation === "garment") return drawn ? drawnGarment(picture, shape) : garment(picture, shape);
  if (preparation === "digit") return drawn ? drawnDigit(picture, shape) : digit(picture, shape);
  return whole(picture, shape, preparation === "image-on-black", options);
}

// Whole pictures -----------------------------------------------------------------------------

function whole(picture, [height, width], onBlack, { drawn, dark, negative }) {
  let plane = greyOf(picture, onBlack ? 0 : 255);
  if (drawn) {
    const { values } = alphaOf(picture);
    plane = { ...plane, values: dark ? values : values.map((a) => 255 - a) };
  }
  const { width: from, height: fromHeight } = plane;
  const fits = from === width && fromHeight === height;
  if (!fits) {
    const scale = Math.min(height / fromHeight, width / from);
    const sides = [from, fromHeight].map((side) => Math.max(1, Math.round(side * scale)));
    plane = place(resize(plane, ...sides), [height, width], median(border(plane)), 0);
  }
  const positive = rounded(plane.values);
  const image = negative ? positive.map((v) => 255 - v) : positive;
  return { image, mask: null, how: `The whole picture, ${fits ? "as it is" : "scaled"}.` };
}

// Garments -----------------------------------------------------------------------------------

function garment(picture, shape) {
  const grey = greyOf(picture, 255);
  const [height, width] = shape;
  const transparent = alphaOf(picture).values.some((a) => a < 128);
  if (!transparent && isDataImage(picture, grey, shape)) {
    const same = grey.width === width && grey.height === height;
    const fitted = same ? grey : fitTrimmed(grey, shape, 1);
    const image = rounded(fitted.values);
    return { image, mask: null, how: "Small and grey on a dark ground: taken as an image of the data." };
  }
  const mask = transparent
    ? Uint8Array.from(alphaOf(picture).values, (a) => Number(a >= 128))
    : filled(largest(contrasting(picture), grey), grey);
  const size = mask.reduce((a, b) => a + b, 0) / mask.length;
  const found = size > 0.01 && size < 0.98;
  if (!found) mask.fill(1);
  const negated = grey.values.map((v, i) => (mask[i] ? Math.max(255 - v, LEAST) : 0));
  const fitted = fitTrimmed({ ...grey, values: negated }, shape, 1);
  const where = transparent ? "what isn’t transparent" : "what differs from the border’s colours";
  const how = found
    ? `The object is ${where}; it fills ${Math.round(100 * size)}% of the picture.`
    : "No object stands out from the border’s colours; the whole picture is used.";
  return { image: rounded(fitted.values), mask, how };
}

function drawnGarment(picture, shape) {
  const ink = alphaOf(picture);
  const lines = ink.values.map((a) => Number(a > 127));
  const reach = Math.round(GAP * Math.max(ink.width, ink.height));
  // Grown lines meet; what they enclose then shrinks again.
  const outside = filled(grown(lines, ink, reach), ink).map((inside) => 1 - inside);
  const inside = grown(outside, ink, reach).map((out) => 1 - out);
  const values = ink.values.map((a, i) => Math.max(a, inside[i] ? CLOTH : 0));
  const fitted = fitTrimmed({ ...ink, values }, shape, 1);
  const how = "What your lines enclose counts as cloth.";
  return { image: rounded(fitted.values), mask: null, how };
}

/** Grey, small, and on a dark ground: as the makers left their images. */
function isDataImage(picture, grey, [height, width]) {
  if (Math.max(grey.width, grey.height) > SMALL) return false;
  for (let i = 0; i < picture.data.length; i += 4) {
    const [r, g, b] = [picture.data[i], picture.data[i + 1], picture.data[i + 2]];
    if (Math.max(r, g, b) - Math.min(r, g, b) > 8) return false;
  }
  const least = grey.width === width && grey.height === height ? 192 : 16;
  return median(border(grey)) < least && grey.values.some((v) => v > 64);
}

/**
 * Where a picture's colour differs from the colours of its four sides. Light falls unevenly, so
 * lightness counts less than hue.
 */
function contrasting(picture) {
  const planes = opponents(picture);
  const squares = [0, 1, 2, 3].map((side) => {
    const sum = new Float32Array(picture.width * picture.height);
    for (const plane of planes) {
      const ground = median(sides(plane)[side]);
      plane.values.forEach((v, i) => (sum[i] += (v - ground) ** 2));
    }
    return sum;
  });
  const distances = squares[0].map((_, i) => Math.sqrt(Math.min(...squares.map((sum) => sum[i]))));
  const threshold = Math.max(otsu(distances), CONTRAST / 2);
  return distances.map((d) => Number(d > threshold));
}

/** Lightness, red against green, and blue against yellow, by their weights. */
function opponents({ width, height, data }) {
  return [
    [0.2, 0.4, 0.1],
    [1, -1, 0],
    [-0.5, -0.5, 1],
  ].map(([red, green, blue]) => {
    const values = new Float32Array(width * height);
    for (let i = 0, k = 0; i < values.length; i++, k += 4) {
      values[i] = red * data[k] + green * data[k + 1] + blue * data[k + 2];
    }
    return { width, height, values };
  });
}

// Digits -------------------------------------------------------------------------------------

function digit(picture, shape) {
  const grey = greyOf(picture, 255);
  const ground = median(border(grey));
  const light = ground > 127;
  if (grey.width === shape[1] && grey.height === shape[0]) {
    const image = Uint8Array.from(grey.values, (v) => Math.round(light ? 255 - v : v));
    return { image, mask: null, how: `An image of the data’s size${light ? ", negated" : ""}.` };
  }
  const contrast = grey.values.map((v) => Math.max(0, light ? ground - v : v - ground));
  const threshold = Math.max(otsu(contrast), CONTRAST / 2);
  const marked = contrast.filter((c) => c > threshold);
  const full = marked.length ? median(marked) : 0;
  if (full < CONTRAST) return nothing(shape);
  const ink = contrast.map((c) =>
    255 * Math.min(1, Math.max(0, (c - threshold / 2) / Math.max(full - threshold / 2, 1))),
  );
  const kept = withoutSpecks(ink, grey);
  const values = ink.map((v, i) => (kept[i] ? v : 0));
  const how = `Ink found on a ${light ? "light" : "dark"} ground, fitted into a box and centred by its mass.`;
  return { image: centred({ ...grey, values }, shape), mask: kept, how };
}

function drawnDigit(picture, shape) {
  const ink = alphaOf(picture);
  if (!ink.values.some((a) => a > 0)) return nothing(shape);
  return { image: centred(ink, shape), mask: null, how: "Your lines, fitted into a box and centred by their mass." };
}

/** Ink trimmed, fitted into a digit's box, and placed with its centre of mass in the middle. */
function centred(ink, [height, width]) {
  const small = fitTrimmed(ink, [height, width], DIGIT, false);
  const peak = Math.max(...small.values);
  const mass = small.values.reduce((a, b) => a + b, 0);
  const middle = (coordinate) =>
    small.values.reduce((sum, v, i) => sum + v * coordinate(i), 0) / mass;
  const corner = (full, centre, side) =>
    Math.min(Math.max(Math.round(full / 2 - 0.5 - centre), 0), full - side);
  const left = corner(width, middle((i) => i % small.width), small.width);
  const top = corner(height, middle((i) => Math.floor(i / small.width)), small.height);
  const image = new Uint8Array(height * width);
  small.values.forEach((v, i) => {
    const row = top + Math.floor(i / small.width);
    image[row * width + left + (i % small.width)] = Math.round((255 * v) / peak);
  });
  return image;
}

const nothing = ([height, width]) => ({
  image: new Uint8Array(height * width),
  mask: null,
  how: "Nothing stands out from the ground.",
});

// Planes and masks ---------------------------------------------------------------------------

/** The luma of a picture (ITU-R 601), laid on a grey ground where it is transparent. */
function greyOf({ width, height, data }, ground) {
  const values = new Float32Array(width * height);
  for (let i = 0, k = 0; i < values.length; i++, k += 4) {
    const luma = 0.299 * data[k] + 0.587 * data[k + 1] + 0.114 * data[k + 2];
    const opacity = data[k + 3] / 255;
    values[i] = Math.round(luma * opacity + ground * (1 - opacity));
  }
  return { width, height, values };
}

function channelOf({ width, height, data }, channel) {
  const values = new Float32Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = data[4 * i + channel];
  return { width, height, values };
}

const alphaOf = (picture) => channelOf(picture, 3);

const rounded = (values) => Uint8Array.from(values, Math.round);

/** The values of a plane's outermost rows and columns. */
function sides({ width, height, values }) {
  const column = (x) => Float32Array.from({ length: height }, (_, y) => values[y * width + x]);
  const last = width * (height - 1);
  return [values.subarray(0, width), values.subarray(last), column(0), column(width - 1)];
}

const border = (plane) => sides(plane).flatMap((side) => [...side]);

function median(values) {
  const sorted = Float32Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The level that parts values best into two groups (Otsu 1979). */
function otsu(values) {
  const peak = values.reduce((a, b) => Math.max(a, b), 0) || 1;
  const counts = new Float64Array(256);
  for (const v of values) counts[Math.floor((255 * v) / peak)] += 1;
  const mean = counts.reduce((sum, n, k) => sum + n * k, 0);
  let [below, sumBelow, best, level] = [0, 0, -1, 0];
  for (let k = 0; k < 255; k++) {
    below += counts[k];
    sumBelow += k * counts[k];
    const above = values.length - below;
    if (!below || !above) continue;
    const spread = below * above * (sumBelow / below - (mean - sumBelow) / above) ** 2;
    if (spread > best) [best, level] = [spread, k + 0.5];
  }
  return (level * peak) / 255;
}

/** The pieces of a mask: the number of each pixel's piece, from 1, and the pieces' sizes. */
function pieces(mask, { width, height }, weights = mask) {
  const numbers = new Int32Array(mask.length);
  const sizes = [0];
  const stack = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || numbers[start]) continue;
    numbers[start] = sizes.push(0) - 1;
    stack.push(start);
    while (stack.length) {
      const at = stack.pop();
      sizes[numbers[start]] += weights[at];
      const x = at % width;
      const y = (at - x) / width;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const near = v * width + u;
          if (mask[near] && !numbers[near]) {
            numbers[near] = numbers[start];
            stack.push(near);
          }
        }
      }
    }
  }
  return { numbers, sizes };
}

/** The largest piece of a mask, alone. */
function largest(mask, plane) {
  const { numbers, sizes } = pieces(mask, plane);
  const first = sizes.indexOf(Math.max(...sizes));
  return Uint8Array.from(numbers, (n) => Number(n > 0 && n === first));
}

/** Where there is ink, without pieces that are much smaller than the largest. */
function withoutSpecks(ink, plane) {
  const { numbers, sizes } = pieces(ink, plane);
  const least = SPECK * Math.max(...sizes);
  return Uint8Array.from(numbers, (n) => Number(n > 0 && sizes[n] >= least));
}

/** A mask and all that is at most `reach` pixels beside or above it. */
function grown(mask, { width, height }, reach) {
  const along = (source, length, step, line, lines) => {
    const result = new Uint8Array(source.length);
    for (let n = 0; n < lines; n++) {
      for (const [from, to, by] of [[0, length, 1], [length - 1, -1, -1]]) {
        let last = Infinity; // the nearest marked place on the way
        for (let k = from; k !== to; k += by) {
          const at = n * line + k * step;
          if (source[at]) last = k;
          if (Math.abs(k - last) <= reach) result[at] = 1;
        }
      }
    }
    return result;
  };
  return along(along(mask, width, 1, width, height), height, width, 1, width);
}

/** A mask and what it encloses: all that the outside doesn't reach by its edges. */
function filled(mask, { width, height }) {
  const outside = new Uint8Array(mask.length);
  const stack = [];
  const visit = (at) => {
    if (!mask[at] && !outside[at]) {
      outside[at] = 1;
      stack.push(at);
    }
  };
  for (let x = 0; x < width; x++) [x, (height - 1) * width + x].forEach(visit);
  for (let y = 0; y < height; y++) [y * width, y * width + width - 1].forEach(visit);
  while (stack.length) {
    const at = stack.pop();
    if (at % width) visit(at - 1);
    if ((at + 1) % width) visit(at + 1);
    if (at >= width) visit(at - width);
    if (at < mask.length - width) visit(at + width);
  }
  return outside.map((out) => 1 - out);
}

/**
 * What isn't zero, trimmed, its longest edge scaled to a share of the image's, and centred.
 * @param {boolean} placed - in a plane of the image's size; else it is returned alone
 */
function fitTrimmed(plane, [height, width], share, placed = true) {
  const box = { left: plane.width, top: plane.height, right: 0, bottom: 0 };
  plane.values.forEach((v, i) => {
    if (!(v > 0)) return;
    const x = i % plane.width;
    const y = Math.floor(i / plane.width);
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x + 1);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y + 1);
  });
  if (box.right === 0) return { width, height, values: new Float32Array(width * height) };
  const trimmed = crop(plane, box);
  const factor = share * Math.min(height / trimmed.height, width / trimmed.width);
  const small = resize(
    trimmed,
    Math.max(1, Math.round(trimmed.width * factor)),
    Math.max(1, Math.round(trimmed.height * factor)),
  );
  return placed ? place(small, [height, width], 0, 1) : small; // as in the data
}

/** A plane in the middle of another, of `ground`; an `odd` row or column comes first, or last. */
function place(small, [height, width], ground, odd) {
  const values = new Float32Array(height * width).fill(Math.round(ground));
  const top = (height - small.height + odd) >> 1;
  const left = (width - small.width + odd) >> 1;
  for (let y = 0; y < small.height; y++) {
    const row = small.values.subarray(y * small.width, (y + 1) * small.width);
    values.set(row, (top + y) * width + left);
  }
  return { width, height, values };
}
