import { data, probability } from "./data.js";
import { element } from "./elements.js";
import { imageItems, imagesOf } from "./image_list.js";
import { startTables } from "./tables.js";
import { fillForm, linkTo, onView, rewriteAddress } from "./view.js";

const SHOWN = 12;

function classRows(a, b) {
  return data.classes.map((name, label) => {
    const fixed = imagesOf({ trueClass: label, right: [b], wrong: [a] }).length;
    const broken = imagesOf({ trueClass: label, right: [a], wrong: [b] }).length;
    return { name, label, fixed, broken };
  });
}

function countCell(count, choices) {
  const text = count ? element("a", { href: linkTo("images", choices) }, String(count)) : "0";
  return element("td", { class: "number" }, text);
}

function signed(number) {
  return number > 0 ? `+${number}` : String(number).replace("-", "−");
}

function classTable(a, b) {
  const names = ["Class", `Only ${data.models[b]} correct`, `Only ${data.models[a]} correct`, "Net"];
  const heads = names.map((name, i) =>
    element("th", { scope: "col", class: i ? "number" : "" }, name),
  );
  const body = element("tbody");
  for (const { name, label, fixed, broken } of classRows(a, b)) {
    if (!fixed && !broken) continue;
    const net = fixed - broken;
    const row = element(
      "tr",
      {},
      element("th", { scope: "row", class: "name" }, name),
      countCell(fixed, { model: a, true: label, right: b, wrong: a }),
      countCell(broken, { model: b, true: label, right: a, wrong: b }),
      element("td", { class: "number", "data-value": net }, signed(net)),
    );
    body.append(row);
  }
  return element("table", { class: "sortable" }, element("thead", {}, element("tr", {}, ...heads)), body);
}

function images(right, wrong) {
  const gain = (image) =>
    probability(right, image, data.labels[image]) - probability(wrong, image, data.labels[image]);
  const found = imagesOf({ right: [right], wrong: [wrong] }).sort((a, b) => gain(b) - gain(a));
  const list = element("ul", { class: "gallery" }, ...imageItems(found.slice(0, SHOWN), wrong));
  const href = linkTo("images", { model: wrong, right, wrong });
  const all = element("a", { href }, `All ${found.length.toLocaleString("en")}`);
  const title = `Only ${data.models[right]} correct: true → predicted by ${data.models[wrong]}, probability`;
  return [element("h3", {}, title), list, element("p", {}, all)];
}

// The section on two models, for those that the form names.
function render(section, form) {
  const [a, b] = [Number(form.elements.a.value), Number(form.elements.b.value)];
  const content = section.querySelector(".content");
  if (a === b) {
    content.replaceChildren(element("p", {}, "Choose two different models."));
    return;
  }
  const sentence = data.pairs[`${Math.min(a, b)}-${Math.max(a, b)}`] ?? "";
  const label = { tabindex: 0, role: "region", "aria-label": "By class" };
  const scroll = element("div", { class: "scroll", ...label }, classTable(a, b));
  content.replaceChildren(element("p", {}, sentence), scroll, ...images(b, a), ...images(a, b));
  startTables(content);
}

export function startPairs() {
  const section = document.getElementById("pair");
  if (!section || !data) return;
  const form = section.querySelector("form");
  form.hidden = false;
  form.addEventListener("input", () => {
    rewriteAddress("pair", form);
    render(section, form);
  });
  render(section, form);
  onView("pair", (choices) => {
    fillForm(form, choices);
    render(section, form);
  });
}
