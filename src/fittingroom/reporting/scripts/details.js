// Buttons of images open the image's details in a dialog, from which arrow keys lead to the others
// of its list. `fill(dialog, image)` writes the details.
export function startDetails(fill) {
  const dialog = document.getElementById("image");
  if (!dialog) return;
  const next = dialog.querySelector("[name=next]");
  let [images, at] = [[], 0];
  const show = (place) => {
    if (images[place] === undefined) return;
    at = place;
    fill(dialog, images[at]);
    // The button that had the focus may be gone, and arrow keys with it.
    if (!dialog.contains(document.activeElement)) next.focus();
  };
  const imageOf = (opener) => Number(opener.dataset.image);
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-image]");
    if (!opener) return;
    if (dialog.contains(opener)) {
      // "Previous" leads back to where a reader came from.
      images = [...images.slice(0, at + 1), imageOf(opener)];
      show(at + 1);
      return;
    }
    images = [...opener.closest("ul").querySelectorAll("[data-image]")].map(imageOf);
    dialog.showModal();
    next.focus();
    show(images.indexOf(imageOf(opener)));
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(at - 1);
    if (event.key === "ArrowRight") show(at + 1);
  });
  dialog.querySelector("[name=previous]").addEventListener("click", () => show(at - 1));
  next.addEventListener("click", () => show(at + 1));
}
