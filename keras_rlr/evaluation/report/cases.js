// Filters the cases of a report, and shows one at its full size; all by keyboard too.
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const cases = [...document.querySelectorAll("figure[data-category]")];
  const [filter, viewer, holder] = ["filter", "viewer", "picture"].map(find);
  const choices = ["category", "decision"].map(find).filter((choice) => choice);
  let current = 0;

  const shown = () => cases.filter((figure) => !figure.hidden);

  function apply() {
    for (const figure of cases) {
      figure.hidden = choices.some(
        ({ id, value }) => value && !wanted(id, value).includes(figure.dataset[id])
      );
    }
    for (const heading of document.querySelectorAll("h3[data-category]")) {
      const own = heading.dataset.category;
      heading.hidden = !shown().some((figure) => figure.dataset.category === own);
    }
    find("count").value = `${shown().length} of ${cases.length} cases`;
  }

  // A category's name may hold a comma; kinds of decisions hold none.
  const wanted = (id, value) => (id === "decision" ? value.split(",") : [value]);

  function show(place) {
    const among = shown();
    current = (place + among.length) % among.length;
    const figure = among[current];
    const caption = figure.querySelector("figcaption").innerText;
    const where = `${current + 1} of ${among.length}: ${figure.dataset.category}`;
    find("caption").innerText = `${where}, ${caption}`;
    holder.replaceChildren(figure.querySelector("img").cloneNode());
    if (!viewer.open) viewer.showModal();
  }

  function resize() {
    const full = holder.classList.toggle("full");
    find("size").setAttribute("aria-pressed", full);
  }

  for (const figure of cases) {
    const image = figure.querySelector("img");
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "open" });
    button.title = "Show large";
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => show(shown().indexOf(figure)));
  }
  const actions = {
    previous: () => show(current - 1),
    next: () => show(current + 1),
    size: resize,
    close: () => viewer.close(),
  };
  for (const [id, action] of Object.entries(actions)) {
    find(id).addEventListener("click", action);
  }
  const keys = {
    ArrowLeft: "previous",
    ArrowRight: "next",
    k: "previous",
    j: "next",
    f: "size",
  };
  viewer.addEventListener("keydown", (event) => {
    const action = keys[event.key];
    // Arrows move what is larger than the window, where it is looked at.
    const scrolls = event.target === holder && holder.classList.contains("full");
    const moves = event.key.startsWith("Arrow") && scrolls;
    if (!action || moves || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    actions[action]();
  });
  // The reader goes on where the last case looked at is.
  viewer.addEventListener("close", () => {
    holder.replaceChildren();
    shown()[current].querySelector("button").focus();
  });
  for (const choice of choices) choice.addEventListener("change", apply);
  filter.addEventListener("submit", (event) => event.preventDefault());
  filter.hidden = !cases.length;
  apply();
})();
