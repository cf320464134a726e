// What is chosen is in the page's address, so that a view can be linked to and left by "Back":
// "#images?true=3&wrong=0" is the section "images" with its choices.

export function currentView() {
  const [section, query = ""] = location.hash.slice(1).split("?");
  return { section, choices: new URLSearchParams(query) };
}

export function linkTo(section, choices) {
  return `#${section}?${new URLSearchParams(choices)}`;
}

// Change the address without an entry in the history, as when somebody tries filters.
export function rewriteAddress(section, form) {
  const chosen = [...new FormData(form)].filter(([, value]) => value !== "");
  history.replaceState(null, "", linkTo(section, chosen));
}

// Call `show(choices)` whenever the address names the section, now and later.
export function onView(section, show) {
  const check = () => {
    const view = currentView();
    if (view.section !== section) return;
    show(view.choices);
    document.getElementById(section).scrollIntoView();
  };
  addEventListener("hashchange", check);
  check();
}

export function fillForm(form, choices) {
  form.reset();
  for (const [name, value] of choices) {
    const field = form.elements.namedItem(name);
    if (field) field.value = value;
  }
}
