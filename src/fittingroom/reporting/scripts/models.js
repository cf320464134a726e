// One model's section at a time, chosen by a list or by a link to it.
function startPanel(panel) {
  const choice = panel.querySelector("select");
  const sections = [...panel.querySelectorAll(".model")];
  if (!choice || sections.length < 2) return;
  choice.closest("label").hidden = false;
  const show = (id) => {
    for (const section of sections) section.classList.toggle("unchosen", section.id !== id);
    choice.value = id;
  };
  choice.addEventListener("input", () => {
    history.replaceState(null, "", `#${choice.value}`);
    show(choice.value);
  });
  const follow = () => {
    const named = sections.find((section) => `#${section.id}` === location.hash);
    if (!named) return;
    show(named.id);
    named.scrollIntoView();
  };
  show(sections[0].id);
  addEventListener("hashchange", follow);
  follow();
}

// Boxes for models whose rows and columns are shown.
function startHiding(boxes) {
  boxes.hidden = false;
  const places = [...document.querySelectorAll("[data-model]")];
  boxes.addEventListener("input", () => {
    const inputs = [...boxes.querySelectorAll("input")];
    const hidden = new Set(inputs.filter((box) => !box.checked).map((box) => box.value));
    for (const place of places) {
      place.hidden = hidden.has(place.dataset.model) || hidden.has(place.dataset.other);
    }
  });
}

export function startModels() {
  const [panel, boxes] = ["models", "shown-models"].map((id) => document.getElementById(id));
  if (panel) startPanel(panel);
  if (boxes) startHiding(boxes);
}
