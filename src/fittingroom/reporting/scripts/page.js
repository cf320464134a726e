import { startPrinting } from "./printing.js";
import { startTables } from "./tables.js";

startTables(document);
startPrinting();
