import { startImageDetails } from "./image_list.js";
import { startImages } from "./images.js";
import { startModels } from "./models.js";
import { startPairs } from "./pairs.js";
import { startPrinting } from "./printing.js";
import { startTables } from "./tables.js";
import { startCells, startTips } from "./tips.js";

startTables(document);
startModels();
startImages();
startPairs();
startImageDetails();
startCells();
startTips();
startPrinting();
