import { startImages } from "./dataset_images.js";
import { startDuplicates } from "./duplicates.js";
import { startEmbedding } from "./embedding.js";
import { startPrinting } from "./printing.js";
import { startTables } from "./tables.js";
import { startCells, startTips } from "./tips.js";

// Links to a section with choices of its form, which only this script heeds.
function linkChoices() {
  for (const link of document.querySelectorAll("a[data-choices]")) {
    link.href = `${link.hash}?${link.dataset.choices}`;
  }
}

linkChoices();
startTables(document);
startImages();
startDuplicates();
startEmbedding();
startCells();
startTips();
startPrinting();
