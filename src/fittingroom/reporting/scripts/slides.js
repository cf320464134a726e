import { button, element } from "./elements.js";

// Galleries of class "slides": one picture at a time, with buttons and arrow keys.
function makeSlides(gallery) {
  const slides = [...gallery.children];
  let shown = 0;
  const count = element("span");
  const show = (index) => {
    shown = (index + slides.length) % slides.length;
    slides.forEach((slide, i) => (slide.hidden = i !== shown));
    count.textContent = `${shown + 1} of ${slides.length}`;
  };
  const buttons = [button("Previous", () => show(shown - 1)), button("Next", () => show(shown + 1))];
  const bar = element("p", { class: "controls" }, ...buttons, count);
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) show(shown + step);
  });
  gallery.classList.add("one");
  gallery.after(bar);
  show(0);
}

export function startSlides() {
  for (const gallery of document.querySelectorAll(".gallery.slides")) makeSlides(gallery);
}
