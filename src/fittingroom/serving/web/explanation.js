// What models saw of a picture, where the object in it was found, and which training images are near.

/**
 * Draws the object's outline over the picture, and shades what is around it.
 *
 * @param {SVGElement} svg - with a path "around" and a path "edge"
 * @param {number[][][]} outline - lines of points [x, y]; none if the whole picture was taken
 */
export function showOutline(svg, outline) {
  const lines = outline.map((points) => `M${points.map((point) => point.join(" ")).join("L")}Z`).join("");
  const frame = "M0 0H1V1H0Z";
  svg.querySelector(".edge").setAttribute("d", lines);
  svg.querySelector(".around").setAttribute("d", lines && frame + lines);
}

/**
 * Shows each image that models saw, once, and the training images that are nearest to it.
 *
 * @param {HTMLElement} parent
 * @param {object[]} models - as the server describes them
 * @param {Object<string, object>} predictions - by the model's name
 */
export function showViews(parent, models, predictions) {
  const groups = new Map();
  for (const model of models) {
    const prediction = predictions[model.name];
    const nearest = prediction.nearest?.map(({ position }) => position);
    const key = JSON.stringify([prediction.image, prediction.decisions, model.data, nearest]);
    if (!groups.has(key)) groups.set(key, { prediction, models: [] });
    groups.get(key).models.push(model);
  }
  parent.replaceChildren();
  for (const group of groups.values()) {
    const view = add(parent, "div", "view");
    const names = group.models.map(({ name }) => name).join(", ");
    const all = models.length === 1 ? "the model" : "the models";
    showSeen(view, group, groups.size > 1 ? names : all);
    if (group.prediction.nearest) showNearest(view, group);
  }
}

function showSeen(view, { models, prediction }, who) {
  const [height, width] = models[0].image_shape;
  const section = add(view, "div", "");
  add(section, "h3", "").textContent = `What ${who} saw`;
  const figure = add(section, "figure", "saw");
  const image = add(figure, "img", "");
  image.src = prediction.image;
  image.alt = `The image that ${who} got`;
  const caption = add(figure, "figcaption", "");
  const views = prediction.views > 1 ? `, one of ${prediction.views} views` : "";
  add(caption, "strong", "").textContent = `${width}×${height} pixels${views}`;
  const text = prediction.decisions.join("; ").replace(/\.$/, "");
  add(caption, "span", "").textContent = `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function showNearest(view, { models, prediction }) {
  const section = add(view, "div", "");
  const heading = add(section, "h3", "");
  heading.textContent = "Nearest training images ";
  const count = models[0].training_images.toLocaleString("en");
  add(heading, "span", "").textContent = `of ${count}, by their pixels`;
  const list = add(section, "ol", "nearest");
  for (const { label, image: source } of prediction.nearest) {
    const figure = add(add(list, "li", ""), "figure", "");
    const image = add(figure, "img", "");
    image.src = source;
    image.alt = "";
    add(figure, "figcaption", "").textContent = label;
  }
}

function add(parent, name, className) {
  const element = parent.appendChild(document.createElement(name));
  if (className) element.className = className;
  return element;
}
