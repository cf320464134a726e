import { button, element } from "./elements.js";

// Tables of class "sortable": the button in a column head sorts by the column, a second click in
// reverse. Rows without a value stay last.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const inside = element("button", { type: "button" }, ...head.childNodes);
    head.append(inside);
    inside.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order === 1 ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [sortValue(row, column), row]);
      rows.sort(([a], [b]) => compareValues(a, b, order));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

function sortValue(row, column) {
  const cell = row.cells[column];
  if (!cell || cell.colSpan > 1) return null;
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (text === "" || text === "–") return null;
  return isNaN(text) ? text : Number(text);
}

function compareValues(a, b, order) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return order * (a - b);
  return order * String(a).localeCompare(String(b));
}

// Every table with a head can be copied, without the rows and columns that are hidden.
function makeCopyable(table) {
  const status = element("span", { role: "status" });
  const copy = (format) => async () => {
    await writeClipboard(format(visibleCells(table)));
    status.textContent = "Copied.";
  };
  const buttons = [button("Copy as Markdown", copy(asMarkdown)), button("Copy as CSV", copy(asCsv))];
  (table.closest(".scroll") ?? table).after(element("p", { class: "copy" }, ...buttons, status));
}

function visibleCells(table) {
  return [...table.rows]
    .filter((row) => !row.hidden)
    .map((row) =>
      [...row.cells]
        .filter((cell) => !cell.hidden)
        .flatMap((cell) => [
          cell.textContent.trim().replace(/\s+/g, " "),
          ...Array(cell.colSpan - 1).fill(""),
        ]),
    );
}

export function asMarkdown([head, ...rows]) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line), ""].join("\n");
}

export function asCsv(rows) {
  const quote = (cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return rows.map((cells) => cells.map(quote).join(",") + "\n").join("");
}

async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not every browser lets a page from disk write to the clipboard by the newer way.
    const area = element("textarea", {}, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

// Buttons for the tables in a part of the page.
export function startTables(part) {
  for (const table of part.querySelectorAll("table.sortable")) makeSortable(table);
  for (const table of part.querySelectorAll("table:is(.sortable, .heat)")) makeCopyable(table);
}
