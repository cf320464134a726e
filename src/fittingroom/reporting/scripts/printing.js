// On paper all details are open, and all sections of models are there.
export function startPrinting() {
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
  const summary = document.getElementById("print-summary");
  if (!summary) return;
  summary.hidden = false;
  summary.addEventListener("click", () => {
    document.body.classList.add("summary-only");
    print();
  });
  addEventListener("afterprint", () => document.body.classList.remove("summary-only"));
}
