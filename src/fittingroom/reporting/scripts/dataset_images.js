import { startBrowsing } from "./browsing.js";
import {
  captioned,
  captionOf,
  classOf,
  countOf,
  differenceText,
  held,
  imageTile,
  neighboursOf,
  splitOf,
} from "./dataset.js";
import { startDetails } from "./details.js";
import { element } from "./elements.js";
import { openerOf } from "./tiles.js";
import { linkTo } from "./view.js";

function nearestOf(image) {
  return neighboursOf(image)[0];
}

// The images that the form asks for, in its order.
function filteredImages(form) {
  const asked = Object.fromEntries(new FormData(form));
  const nearest = {
    "": () => true,
    same: (image, label) => label === classOf(image),
    other: (image, label) => label !== classOf(image),
  };
  const matches = nearest[asked.nearest] ?? ((image, label) => label === Number(asked.nearest));
  const images = [...held.explored].filter(
    (image) =>
      (asked.class === "" || classOf(image) === Number(asked.class)) &&
      (asked.split === "" || splitOf(image) === asked.split) &&
      (asked.index === "" || held.positions[image] === Number(asked.index)) &&
      matches(image, classOf(nearestOf(image).image)),
  );
  const difference = (image) => nearestOf(image).difference;
  const by = {
    unusual: (a, b) => difference(b) - difference(a),
    usual: (a, b) => difference(a) - difference(b),
  };
  return by[asked.order] ? images.sort(by[asked.order]) : images;
}

// Caption with the class of the nearest neighbour if it is another one.
function withNearest(image) {
  const label = classOf(nearestOf(image).image);
  return label === classOf(image)
    ? captionOf(image)
    : `${captionOf(image)}; nearest: ${held.classes[label]}`;
}

function sayImages(count) {
  if (held.explored.length === held.images) return `${countOf(count, "image")}.`;
  const [n, all] = [held.explored.length, held.images].map((number) => number.toLocaleString("en"));
  return (
    `${countOf(count, "image")}, of ${n} that this page holds of all ${all}: of each class random ` +
    "and unusual ones, and some that are nearest to each other class."
  );
}

// Cells of the matrix of nearest neighbours link to images behind them.
function linkCells(table) {
  const kinds = new Set(
    [...held.explored]
      .filter((image) => splitOf(image) === "train")
      .map((image) => `${classOf(image)}-${classOf(nearestOf(image).image)}`),
  );
  [...table.tBodies[0].rows].forEach((row, label) => {
    [...row.cells].slice(1).forEach((cell, nearest) => {
      if (!cell.textContent.trim() || !kinds.has(`${label}-${nearest}`)) return;
      const href = linkTo("images", { class: label, split: "train", nearest });
      cell.append(element("a", { href }, ...cell.childNodes));
    });
  });
}

// Samples of a class open their details, as all other images.
function openSamples() {
  for (const tile of document.querySelectorAll(".samples .tile")) {
    const [x, y] = ["--x", "--y"].map((name) => Number(tile.style.getPropertyValue(name)));
    const image = y * held.columns + x;
    if (!neighboursOf(image).length) continue;
    const opener = openerOf(image, imageTile(image), captionOf(image));
    opener.lastChild.className = "visually-hidden";
    tile.replaceWith(opener);
  }
}

export function startImages() {
  startBrowsing(document.getElementById("images"), {
    find: filteredImages,
    items: (images) => images.map((image) => element("li", {}, captioned(image, withNearest(image)))),
    say: sayImages,
    atOnce: 36,
  });
  for (const table of document.querySelectorAll("#neighbours table.heat")) linkCells(table);
  openSamples();
  startDetails((dialog, image) => {
    dialog.querySelector("h2").textContent = captionOf(image);
    dialog.querySelector(".large").replaceChildren(imageTile(image));
    const items = neighboursOf(image).map(({ image: other, difference }) =>
      element("li", {}, captioned(other, `${captionOf(other)}, ${differenceText(difference)}`)),
    );
    dialog.querySelector("ul").replaceChildren(...items);
  });
}
