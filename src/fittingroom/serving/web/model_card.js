// What one model says of a picture.

import { Bars, percent } from "./bars.js";

/** The least probability at which a small screen shows a class. */
const LITTLE = 0.01;

export class ModelCard {
  /**
   * @param {HTMLElement} parent
   * @param {object} model - as the server describes it
   */
  constructor(parent, model) {
    this.model = model;
    this.card = part(parent, "article", "model");
    const heading = part(this.card, "h3", "");
    heading.id = `model-${model.name}`;
    heading.textContent = model.name;
    this.card.setAttribute("aria-labelledby", heading.id);
    const verdict = part(this.card, "p", "verdict");
    this.best = part(verdict, "span", "best-label");
    this.sure = part(verdict, "span", "sure");
    const list = part(this.card, "ol", "bars");
    list.setAttribute("aria-label", `Probability of each class by ${model.name}`);
    this.bars = new Bars(list, model.labels);
    this.set = part(this.card, "p", "set");
    this.warning = part(this.card, "p", "warning");
    this.note = part(this.card, "p", "note small");
    this.clear();
  }

  /** @param {object} prediction - the server's answer for this model */
  show({ top, set, unlike_data: unlike, odds }) {
    const shares = new Map(top.map(({ label, probability }) => [label, probability]));
    this.bars.show(this.model.labels.map((label) => shares.get(label)));
    // A small screen has no room for classes that are out of the question.
    for (const { item, name } of this.bars.rows) {
      item.classList.toggle("little", shares.get(name.textContent) < LITTLE);
    }
    this.best.textContent = top[0].label;
    this.sure.textContent = percent(top[0].probability);
    this.set.textContent = set.length ? `Set: ${set.join(", ")}` : "";
    this.warning.textContent = unlike ? "Unlike the training images: it may be none of these." : "";
    const other = odds && firstWithout(odds, top);
    this.note.textContent =
      other && other !== top[0].label
        ? `${other} would be first if people photographed all classes equally often.`
        : "";
  }

  clear() {
    this.bars.clear();
    for (const { item } of this.bars.rows) item.classList.add("little");
    for (const each of [this.best, this.sure, this.set, this.warning, this.note]) each.textContent = "";
  }
}

/** The most probable label before the probabilities were multiplied by the odds. */
function firstWithout(odds, top) {
  const before = ({ label, probability }) => probability / odds[label];
  return top.reduce((a, b) => (before(b) > before(a) ? b : a)).label;
}

function part(parent, name, className) {
  const element = parent.appendChild(document.createElement(name));
  element.className = className;
  return element;
}
