import { startBrowsing } from "./browsing.js";
import { captioned, classOf, countOf, differenceText, held, splitOf } from "./dataset.js";
import { element } from "./elements.js";

function differ(pair) {
  return classOf(pair.first) !== classOf(pair.second);
}

function whereOf(pair) {
  const splits = [splitOf(pair.first), splitOf(pair.second)];
  return splits[0] === splits[1] ? splits[0] : "between";
}

// The pairs that the form asks for, nearest first.
function filteredPairs(form) {
  const asked = Object.fromEntries(new FormData(form));
  const pairs = [...held.pairDistances].map((distance, i) => ({
    first: held.pairs[2 * i],
    second: held.pairs[2 * i + 1],
    distance,
  }));
  return pairs.filter(
    (pair) =>
      (asked.where === "" || whereOf(pair) === asked.where) &&
      (asked.labels === "" || differ(pair) === (asked.labels === "different")) &&
      (asked.kind === "" || (pair.distance === 0) === (asked.kind === "identical")) &&
      (asked.class === "" ||
        [pair.first, pair.second].some((image) => classOf(image) === Number(asked.class))),
  );
}

function pairItem(pair) {
  const text = differenceText(pair.distance) + (differ(pair) ? ", different labels" : "");
  const note = element("span", { class: differ(pair) ? "differs" : "" }, text);
  return element("li", {}, captioned(pair.first), captioned(pair.second), note);
}

function sayPairs(count) {
  const n = held.pairDistances.length;
  const all = `of the ${n.toLocaleString("en")} that this page holds, the closest of each kind`;
  const of = n < held.allPairs ? ` ${all}` : "";
  return `${countOf(count, "pair")}${of}. The number is the root mean square difference of the pixels, of 255.`;
}

export function startDuplicates() {
  const section = document.getElementById("duplicates");
  if (!section.querySelector("form")) return;
  startBrowsing(section, {
    find: filteredPairs,
    items: (pairs) => pairs.map(pairItem),
    say: sayPairs,
    atOnce: 24,
  });
}
