import { element } from "./elements.js";

// A tile by its number, as large as its place on the page says; a text beside it says what it
// shows. `kind` names its picture where there are several.
export function tileOf(number, columns, kind = "") {
  const [row, column] = [Math.floor(number / columns), number % columns];
  const look = { class: `tile ${kind}`.trim(), style: `--x:${column};--y:${row}` };
  return element("i", { "aria-hidden": true, ...look });
}

// A tile and its caption as a button that opens the image's details.
export function openerOf(image, tile, caption) {
  return element("button", { type: "button", "data-image": image }, tile, element("span", {}, caption));
}
