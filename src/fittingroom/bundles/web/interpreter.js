// Runs a model that `web_graph.py` has written: steps over flat arrays, for one image at a time.
//
// Every step's shapes are known beforehand, and so is every array's size; each operator below
// makes a function that fills an array of its own again and again.

/** A model, ready to predict. */
export class Model {
  /** @param {object} graph - `steps`, `weights` and `output`, as the page holds them */
  constructor({ steps, weights, output }) {
    this.weights = Object.fromEntries(
      Object.entries(weights).map(([name, weight]) => [name, decoded(weight)]),
    );
    this.steps = steps.map((step) => {
      const inputs = step.inputs.map((name) => this.weights[name]);
      return { ...step, compute: OPERATORS[step.operator](step, ...inputs) };
    });
    this.output = output;
  }

  /**
   * @param {Uint8Array} image - row by row
   * @returns {number[]} the probability of each class
   */
  predict(image) {
    const values = { ...this.weights, images: Float64Array.from(image) };
    for (const { inputs, output, compute } of this.steps) {
      values[output] = compute(...inputs.map((name) => values[name]));
    }
    return [...values[this.output]];
  }
}

/** The numbers of an array in the page: base64 of float32, or of 16-bit integers times a scale. */
function decoded({ scale, data }) {
  const { buffer } = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  if (scale === undefined) return Float64Array.from(new Float32Array(buffer));
  return Float64Array.from(new Int16Array(buffer), (whole) => whole * scale);
}

/**
 * By name, makers of functions. A maker gets the step and those of its inputs that are weights; its
 * function gets all inputs.
 */
const OPERATORS = {
  /** Convolution: `from` and `to` are [channels, height, width], weights (outputs, inputs · area). */
  convolution({ from, to, kernel, stride, padding }, _, weight, bias) {
    const [outputs, pixels] = [to[0], to[1] * to[2]];
    const inner = from[0] * kernel[0] * kernel[1];
    const sources = patches(from, to, kernel, stride, padding);
    const columns = new Float64Array(pixels * inner);
    const y = new Float64Array(outputs * pixels);
    return (x) => {
      for (let i = 0; i < columns.length; i++) columns[i] = sources[i] < 0 ? 0 : x[sources[i]];
      multiply(weight, outputs, columns, pixels, inner, y);
      if (bias) for (let i = 0; i < y.length; i++) y[i] += bias[Math.floor(i / pixels)];
      return y;
    };
  },

  /** Rows (rows, inner) times weights (columns, inner), transposed. */
  dense({ rows, inner, columns }, _, weight, bias) {
    const y = new Float64Array(rows * columns);
    return (x) => {
      multiply(x, rows, weight, columns, inner, y);
      if (bias) for (let i = 0; i < y.length; i++) y[i] += bias[i % columns];
      return y;
    };
  },

  /** The maximum of every window without padding. */
  maximum({ from, to, kernel, stride }) {
    const [channels, height, width] = to;
    const y = new Float64Array(channels * height * width);
    return (x) => {
      for (let i = 0, c = 0; c < channels; c++) {
        for (let r = 0; r < height; r++) {
          for (let k = 0; k < width; k++, i++) {
            const corner = (c * from[1] + r * stride[0]) * from[2] + k * stride[1];
            let best = x[corner];
            for (let v = 0; v < kernel[0]; v++) {
              for (let u = 0; u < kernel[1]; u++) best = Math.max(best, x[corner + v * from[2] + u]);
            }
            y[i] = best;
          }
        }
      }
      return y;
    };
  },

  /** Times a scale and plus a shift of each channel, whose values are `inner` numbers in a row. */
  normalization({ size, inner }, _, scale, shift) {
    const y = new Float64Array(size);
    return (x) => {
      for (let i = 0; i < size; i++) {
        const channel = Math.floor(i / inner) % scale.length;
        y[i] = x[i] * scale[channel] + shift[channel];
      }
      return y;
    };
  },

  /** Numbers moved elsewhere: mirrored, shifted, in another order; 0 where none comes. */
  move({ from, to, axes, starts, strides }) {
    const sources = moves(from, to, axes, starts, strides);
    const y = new Float64Array(sources.length);
    return (x) => {
      for (let i = 0; i < y.length; i++) y[i] = sources[i] < 0 ? 0 : x[sources[i]];
      return y;
    };
  },

  relu: each((x) => (x > 0 ? x : 0)),
  log: each(Math.log),
  clip: each((x, low, high) => Math.min(Math.max(x, low), high)),
  add: each((a, b) => a + b),
  subtract: each((a, b) => a - b),
  multiply: each((a, b) => a * b),
  divide: each((a, b) => a / b),

  /** Of a single row. */
  softmax({ size }) {
    const y = new Float64Array(size);
    return (x) => {
      const peak = x.reduce((a, b) => Math.max(a, b));
      let sum = 0;
      for (let i = 0; i < size; i++) sum += y[i] = Math.exp(x[i] - peak);
      for (let i = 0; i < size; i++) y[i] /= sum;
      return y;
    };
  },
};

/** An operator on each number; the later inputs may be shorter, and are then repeated. */
function each(change) {
  return ({ size }) => {
    const y = new Float64Array(size);
    return (x, a = [0], b = [0]) => {
      for (let i = 0; i < size; i++) y[i] = change(x[i], a[i % a.length], b[i % b.length]);
      return y;
    };
  };
}

/**
 * y (rows, columns) = a (rows, inner) · b (columns, inner) transposed.
 *
 * Two rows and four columns at a time share what they read. At the edges the last row or column
 * is computed again rather than in a loop of its own.
 */
function multiply(a, rows, b, columns, inner, y) {
  for (let r = 0; r < rows; r += 2) {
    const second = Math.min(r + 1, rows - 1);
    const [a0, a1] = [r * inner, second * inner];
    for (let c = 0; c < columns; c += 4) {
      const [c1, c2, c3] = [1, 2, 3].map((k) => Math.min(c + k, columns - 1));
      const [b0, b1, b2, b3] = [c * inner, c1 * inner, c2 * inner, c3 * inner];
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
      for (let k = 0; k < inner; k++) {
        const p = a[a0 + k], q = a[a1 + k];
        const u0 = b[b0 + k], u1 = b[b1 + k], u2 = b[b2 + k], u3 = b[b3 + k];
        s0 += p * u0; s1 += p * u1; s2 += p * u2; s3 += p * u3;
        t0 += q * u0; t1 += q * u1; t2 += q * u2; t3 += q * u3;
      }
      const [top, below] = [r * columns, second * columns];
      y[top + c] = s0; y[top + c1] = s1; y[top + c2] = s2; y[top + c3] = s3;
      y[below + c] = t0; y[below + c1] = t1; y[below + c2] = t2; y[below + c3] = t3;
    }
  }
}

/** Where each number of a convolution's patches is in its input, -1 in the padding. */
function patches([channels, height, width], [, rows, columns], kernel, stride, padding) {
  const sources = [];
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < columns; k++) {
      for (let c = 0; c < channels; c++) {
        for (let v = 0; v < kernel[0]; v++) {
          for (let u = 0; u < kernel[1]; u++) {
            const y = r * stride[0] + v - padding[0];
            const x = k * stride[1] + u - padding[1];
            const inside = y >= 0 && y < height && x >= 0 && x < width;
            sources.push(inside ? (c * height + y) * width + x : -1);
          }
        }
      }
    }
  }
  return Int32Array.from(sources);
}

/** Where each number of an array comes from: its axis d is the axis `axes[d]` of the source. */
function moves(from, to, axes, starts, strides) {
  const steps = from.map((_, d) => from.slice(d + 1).reduce((a, b) => a * b, 1));
  const sources = new Int32Array(to.reduce((a, b) => a * b, 1));
  for (let i = 0; i < sources.length; i++) {
    let [rest, source, inside] = [i, 0, true];
    for (let d = to.length - 1; d >= 0; d--) {
      const place = starts[d] + strides[d] * (rest % to[d]);
      rest = Math.floor(rest / to[d]);
      inside &&= place >= 0 && place < from[axes[d]];
      source += place * steps[axes[d]];
    }
    sources[i] = inside ? source : -1;
  }
  return sources;
}
