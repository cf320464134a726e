// Probabilities as bars, for eyes and for screen readers.

/** With more classes than these, only the most probable are listed. */
const ALL = 12;
const FEW = 10;

/** A probability for people: never 0% or 100% of what isn't. */
export function percent(probability) {
  if (probability > 0 && probability < 0.01) return "<1%";
  if (probability > 0.99 && probability < 1) return ">99%";
  return `${Math.round(100 * probability)}%`;
}

/**
 * A list of classes, each with its bar and its probability.
 *
 * A dozen classes keep their places, so that nothing jumps while somebody draws. Of more, the most
 * probable ones are listed, in that order.
 *
 * Each item is `<li><span class="name">, <span class="track"><span class="bar">,
 * <span class="share">`; the most probable one has the class "best".
 */
export class Bars {
  /**
   * @param {HTMLOListElement|HTMLUListElement} list
   * @param {string[]} names - of the classes
   */
  constructor(list, names) {
    this.names = names;
    this.rows = Array.from({ length: names.length > ALL ? FEW : names.length }, () => row(list));
    this.clear();
  }

  /** @param {ArrayLike<number>} probabilities - one per class */
  show(probabilities) {
    const order = this.names.map((_, k) => k);
    const best = order.reduce((a, b) => (probabilities[b] > probabilities[a] ? b : a), 0);
    if (order.length > this.rows.length) order.sort((a, b) => probabilities[b] - probabilities[a]);
    this.rows.forEach(({ item, name, bar, share }, place) => {
      const k = order[place];
      name.textContent = this.names[k];
      bar.style.width = `${Math.round(100 * probabilities[k])}%`;
      share.textContent = percent(probabilities[k]);
      item.classList.toggle("best", k === best);
    });
  }

  /** Names without probabilities; none where the most probable ones aren't known yet. */
  clear() {
    this.rows.forEach(({ item, name, bar, share }, place) => {
      name.textContent = this.names.length > this.rows.length ? "" : this.names[place];
      bar.style.width = "0";
      share.textContent = "";
      item.classList.remove("best");
    });
  }
}

function row(list) {
  const item = list.appendChild(document.createElement("li"));
  const part = (parent, className) => {
    const span = parent.appendChild(document.createElement("span"));
    span.className = className;
    return span;
  };
  const name = part(item, "name");
  const track = part(item, "track");
  track.setAttribute("aria-hidden", "true"); // the share says the same
  return { item, name, bar: part(track, "bar"), share: part(item, "share") };
}
