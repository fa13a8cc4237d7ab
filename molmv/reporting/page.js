"use strict";
// Texts of molecules are only ever set as textContent, and pictures only ever shown as images.

const dark = matchMedia("(prefers-color-scheme: dark)");

function colours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map(name => style.getPropertyValue(name).trim());
  const words = { labelColor: ink, titleColor: ink };
  return {
    background: "transparent",
    view: { stroke: "transparent" },
    axis: { ...words, gridColor: line, domainColor: soft, tickColor: soft },
    legend: words,
    title: { color: ink },
  };
}

function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function picture(svg, name) {
  if (!svg) return make("span", "no drawing", { class: "none" });
  return make("img", "", { src: "data:image/svg+xml," + encodeURIComponent(svg), alt: "structure of " + name });
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

function embed(element, spec, options = {}) {
  return vegaEmbed(element, spec, { actions: false, renderer: "canvas", config: colours(), ...options });
}

async function chart(figure) {
  const place = figure.querySelector(".chart");
  const spec = JSON.parse(figure.querySelector("script").textContent);
  await embed(place, spec);
  dark.addEventListener("change", () => embed(place, spec));
}

class ChemicalSpace {
  constructor(root) {
    this.root = root;
    this.place = root.querySelector(".space");
    this.detail = root.querySelector(".detail");
    this.tip = document.body.appendChild(make("div", "", { class: "tip", hidden: "" }));
    this.data = JSON.parse(root.querySelector("script").textContent);
    this.chosen = -1;
  }

  async start() {
    this.pictures = await unpack(this.data.pictures);
    this.points = this.data.spec.layer ? Object.values(this.data.spec.datasets ?? {})[0] ?? this.data.spec.data.values : [];
    await this.draw();
    dark.addEventListener("change", () => this.draw());
    for (const select of this.root.querySelectorAll("select")) {
      select.addEventListener("change", () => this.view.signal(select.dataset.signal, select.value).runAsync());
    }
    this.place.addEventListener("keydown", event => this.key(event));
    this.place.addEventListener("pointerleave", () => this.hide());
    this.root.querySelector("input").addEventListener("input", event => this.find(event.target.value));
    this.root.dataset.ready = "yes";
  }

  async draw() {
    const tooltip = (_, event, item, value) => value ? this.hover(event, item.datum.i) : this.hide();
    const before = this.view ? ["layout", "colour", "chosen"].map(name => [name, this.view.signal(name)]) : [];
    this.view = (await embed(this.place, this.data.spec, { tooltip })).view;
    for (const [name, value] of before) this.view.signal(name, value);
    await this.view.runAsync();
    this.view.addEventListener("click", (_, item) => { if (item?.datum?.i !== undefined) this.choose(item.datum.i); });
  }

  hover(event, i) {
    const molecule = this.data.molecules[i];
    this.tip.replaceChildren(picture(this.pictures[i], molecule.name), make("b", molecule.name));
    this.tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    this.tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4)) + "px";
    this.tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 4)) + "px";
  }

  hide() { this.tip.hidden = true; }

  choose(i) {
    this.chosen = i;
    this.view.signal("chosen", i).runAsync();
    this.hide();
    if (i < 0) return this.detail.replaceChildren(make("p", "Point at a molecule, or press a key."));
    const molecule = this.data.molecules[i];
    const numbers = make("dl");
    molecule.values.forEach((value, k) => {
      numbers.append(make("dt", this.data.colours[k]), make("dd", value === null ? "–" : String(value)));
    });
    const near = make("div", "", { class: "near" });
    for (const j of molecule.near) {
      const button = make("button", "", { type: "button" });
      button.append(picture(this.pictures[j], this.data.molecules[j].name), make("span", this.data.molecules[j].name));
      button.addEventListener("click", () => this.choose(j));
      near.append(button);
    }
    this.detail.replaceChildren(
      picture(this.pictures[i], molecule.name), make("b", molecule.name), make("div", molecule.smiles), numbers,
      make("div", "Nearest in the embedding"), near,
    );
  }

  key(event) {
    const last = this.points.length - 1;
    const moves = { PageDown: 1, PageUp: -1 };
    const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key === "Escape") this.choose(-1);
    else if (event.key in moves) this.choose(Math.max(0, Math.min(last, this.chosen + moves[event.key])));
    else if (event.key === "Home") this.choose(0);
    else if (event.key === "End") this.choose(last);
    else if (event.key in ways) this.choose(this.chosen < 0 ? 0 : this.towards(...ways[event.key]));
    else return;
    event.preventDefault();
  }

  // The nearest dot within 45 degrees of a direction; the same one where there is none.
  towards(right, up) {
    const [x, y] = ["x", "y"].map(axis => this.view.signal("layout") + "_" + axis);
    const from = this.points[this.chosen];
    let best = this.chosen, shortest = Infinity;
    for (const point of this.points) {
      const [dx, dy] = [point[x] - from[x], point[y] - from[y]];
      const along = dx * right + dy * up, across = Math.abs(dx * up) + Math.abs(dy * right);
      const distance = dx * dx + dy * dy;
      if (along > 0 && across <= along && distance < shortest) [best, shortest] = [point.i, distance];
    }
    return best;
  }

  find(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return;
    const has = test => this.data.molecules.findIndex(test);
    let i = has(one => one.name.toLowerCase() === wanted || one.smiles === text.trim());
    if (i < 0) i = has(one => one.name.toLowerCase().includes(wanted) || one.smiles.includes(text.trim()));
    if (i >= 0) this.choose(i);
  }
}

for (const figure of document.querySelectorAll("figure")) chart(figure);
for (const root of document.querySelectorAll(".map")) {
  root.space = new ChemicalSpace(root);
  root.space.start();
}
