import { startBrowsing } from "./browsing.js";
import { data, imagesWhere, isRight, predictedClass, probability } from "./data.js";
import { element } from "./elements.js";
import { countText, imageItems } from "./image_list.js";
import { linkTo } from "./view.js";

// The images that the form asks for, in its order; an empty field asks for nothing.
function filtered(form) {
  const asked = Object.fromEntries(new FormData(form));
  const model = Number(asked.model);
  const surest = (image) => probability(model, image, predictedClass(model, image));
  const tests = {
    true: (image) => data.labels[image] === Number(asked.true),
    predicted: (image) =>
      ({ right: isRight(model, image), wrong: !isRight(model, image) })[asked.predicted] ??
      predictedClass(model, image) === Number(asked.predicted),
    from: (image) => 100 * surest(image) >= Number(asked.from) - 0.5,
    to: (image) => 100 * surest(image) <= Number(asked.to) + 0.5,
    right: (image) => isRight(Number(asked.right), image),
    wrong: (image) =>
      asked.wrong === "all"
        ? data.models.every((_, other) => !isRight(other, image))
        : !isRight(Number(asked.wrong), image),
    index: (image) => data.positions[image] === Number(asked.index),
  };
  const applied = Object.keys(tests).filter((name) => asked[name]);
  const images = imagesWhere((image) => applied.every((name) => tests[name](image)));
  const orders = {
    surest: (a, b) => surest(b) - surest(a),
    doubtful: (a, b) => surest(a) - surest(b),
  };
  return images.sort(orders[asked.order] ?? ((a, b) => data.positions[a] - data.positions[b]));
}

// Cells and points that know a view lead to it.
function linkViews() {
  for (const mark of document.querySelectorAll("[data-view]")) {
    const href = `#${mark.dataset.view}`;
    if (href === "#") continue;
    if (mark.tagName === "TD") mark.append(element("a", { href }, ...mark.childNodes));
    else mark.addEventListener("click", () => (location.hash = href));
  }
}

// Cells of confusion matrices lead to the images behind them.
function linkCells(table) {
  const model = data.models.indexOf(table.dataset.confusion);
  [...table.tBodies[0].rows].forEach((row, label) => {
    [...row.cells].slice(1).forEach((cell, predicted) => {
      if (!cell.textContent.trim()) return;
      const href = linkTo("images", { model, true: label, predicted });
      const link = element("a", { href }, ...cell.childNodes);
      cell.append(link);
    });
  });
}

export function startImages() {
  const section = document.getElementById("images");
  if (!section || !data) return;
  for (const table of document.querySelectorAll("[data-confusion]")) linkCells(table);
  linkViews();
  for (const part of document.querySelectorAll(".needs-images")) part.hidden = false;
  const modelOf = (form) => Number(form.elements.model.value);
  startBrowsing(section, {
    find: filtered,
    items: (images, form) => imageItems(images, modelOf(form)),
    say: (count, form) => countText(count, data.seeds[modelOf(form)]),
  });
}
