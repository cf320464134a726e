// Ways to give a picture: drop it anywhere on the page, paste it, choose a file, take a photo.

/**
 * Calls `onPicture(file)` with each picture that is given, a File; of several, with the first.
 *
 * @param {object} options - `area`: the element that gets the class "dropping" while something is
 *   dragged over the page; `inputs`: elements `<input type="file">`; `onPicture`; `onProblem`:
 *   called with a sentence when something else than a picture was given
 */
export function acceptPictures({ area, inputs, onPicture, onProblem }) {
  const give = (files) => {
    const picture = [...files].find((file) => file.type.startsWith("image/"));
    if (picture) onPicture(picture);
    else onProblem("That isn’t a picture; give a PNG, JPEG or WebP file.");
  };
  for (const input of inputs) {
    input.addEventListener("change", () => {
      if (input.files.length) give(input.files);
      input.value = ""; // the same file may be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files ?? [];
    if (files.length) give(files);
  });
  // A file that is dropped beside the area would replace the page.
  let depth = 0; // entering a child comes before leaving its parent
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    area.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    give(event.dataTransfer?.files ?? []);
  });
}

/**
 * Decodes a picture, turned the right way up, at most `longest` pixels long.
 *
 * @param {Blob} file
 * @param {number} longest
 * @returns {Promise<ImageData>} RGBA
 * @throws {Error} with a sentence, if it can't be read
 */
export async function decodePicture(file, longest) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error("This browser can’t read that picture; try a PNG or JPEG file.");
  }
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
