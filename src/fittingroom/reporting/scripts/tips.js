import { element } from "./elements.js";

// What an element with `data-tip` stands for, beside the pointer or the focused element.
export function startTips() {
  const tip = element("div", { class: "tip", role: "tooltip", hidden: "" });
  document.body.append(tip);
  const show = (event) => {
    const place = event.target.closest?.("[data-tip]");
    tip.hidden = !place?.dataset.tip;
    if (tip.hidden) return;
    tip.textContent = place.dataset.tip;
    const box = place.getBoundingClientRect();
    const left = Math.min(box.left, innerWidth - tip.offsetWidth - 8);
    const below = box.bottom + tip.offsetHeight + 12 < innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? box.bottom + 6 : Math.max(8, box.top - tip.offsetHeight - 6)}px`;
  };
  addEventListener("pointerover", show);
  addEventListener("focusin", show);
  addEventListener("scroll", () => (tip.hidden = true), { passive: true, capture: true });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
  });
}

// Tables of class "heat" are one stop of the tab key; arrow keys lead from cell to cell.
export function startCells() {
  for (const table of document.querySelectorAll("table.heat")) {
    const target = (cell) => cell?.querySelector("a") ?? cell;
    const cells = [...table.querySelectorAll("td[data-tip]")];
    cells.forEach((cell, i) => (target(cell).tabIndex = i ? -1 : 0));
    table.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      const cell = event.target.closest("td[data-tip]");
      if (!cell || !steps[event.key]) return;
      const [down, right] = steps[event.key];
      const row = table.rows[cell.parentElement.rowIndex + down];
      const next = row?.cells[cell.cellIndex + right];
      if (!next?.matches("td[data-tip]")) return;
      event.preventDefault();
      target(cell).tabIndex = -1;
      target(next).tabIndex = 0;
      target(next).focus();
    });
  }
}
