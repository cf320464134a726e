import { button } from "./elements.js";

// The classes of the embedding's legend are buttons: those that are pressed stand out, or all.
export function startEmbedding() {
  const section = document.getElementById("embedding");
  const entries = [...section.querySelectorAll(".legend [data-class]")];
  const groups = [...section.querySelectorAll("g[data-class]")];
  const buttons = entries.map((entry) => {
    const choice = button("", () => {
      choice.ariaPressed = String(choice.ariaPressed !== "true");
      const pressed = buttons.filter((each) => each.ariaPressed === "true");
      const chosen = new Set(pressed.map((each) => each.parentElement.dataset.class));
      for (const group of groups) {
        group.classList.toggle("faded", chosen.size > 0 && !chosen.has(group.dataset.class));
      }
    });
    choice.ariaPressed = "false";
    choice.append(...entry.childNodes);
    entry.append(choice);
    return choice;
  });
}
