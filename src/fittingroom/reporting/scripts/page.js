import { startPrinting } from "./printing.js";
import { startSlides } from "./slides.js";
import { startTables } from "./tables.js";

startTables(document);
startSlides();
startPrinting();
