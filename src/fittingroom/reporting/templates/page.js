"use strict";

// Tables of class "sortable": the button in a column head sorts by the column, a second click in
// reverse. Rows without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell || cell.colSpan > 1) return null;
    const text = cell.dataset.value ?? cell.textContent.trim();
    if (text === "" || text === "–") return null;
    return isNaN(text) ? text : Number(text);
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order === 1 ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        if (typeof a === "number" && typeof b === "number") return order * (a - b);
        return order * String(a).localeCompare(String(b));
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

// Galleries of class "slides": one picture at a time, with buttons and arrow keys.
for (const gallery of document.querySelectorAll(".gallery.slides")) {
  const slides = [...gallery.children];
  let shown = 0;
  const bar = document.createElement("p");
  bar.className = "controls";
  const count = document.createElement("span");
  const show = (index) => {
    shown = (index + slides.length) % slides.length;
    slides.forEach((slide, i) => (slide.hidden = i !== shown));
    count.textContent = `${shown + 1} of ${slides.length}`;
  };
  const button = (text, step) => {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = text;
    element.addEventListener("click", () => show(shown + step));
    return element;
  };
  bar.append(button("Previous", -1), button("Next", 1), count);
  bar.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(shown - 1);
    if (event.key === "ArrowRight") show(shown + 1);
  });
  gallery.classList.add("one");
  gallery.after(bar);
  show(0);
}

// Open all details before printing.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
