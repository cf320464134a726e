import { button } from "./elements.js";
import { fillForm, onView, rewriteAddress } from "./view.js";

// A section with a form that filters a list: what is chosen is in the page's address, and the list
// grows on demand. `find(form)` returns what the form asks for, `items(some, form)` list items for
// some of it, and `say(count, form)` what is written above the list; `atOnce` are added at a time.
export function startBrowsing(section, { find, items, say, atOnce = 60 }) {
  const form = section.querySelector("form");
  const [count, list] = [section.querySelector(".count"), section.querySelector("ul")];
  let found = [];
  const more = button("Show more", () => {
    const shown = list.children.length;
    list.append(...items(found.slice(shown, shown + atOnce), form));
    more.hidden = list.children.length >= found.length;
  });
  list.after(more);
  const render = () => {
    found = find(form);
    count.textContent = say(found.length, form);
    list.replaceChildren();
    more.click();
  };
  const changed = () => {
    rewriteAddress(section.id, form);
    render();
  };
  form.hidden = false;
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  section.querySelector("[name=clear]").addEventListener("click", () => {
    form.reset();
    changed();
  });
  render();
  onView(section.id, (choices) => {
    fillForm(form, choices);
    render();
  });
}
