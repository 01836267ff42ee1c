"use strict";

// Draws the figures, each when it comes near the window, and lets the brushes of the parallel coordinates choose runs
// for all of them and for the table.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const AXIS_WIDTH = 96; // pixels that an axis of the parallel coordinates needs at least
const MOST_LINES = 1500; // of the parallel coordinates: more are one carpet, and take seconds to draw
const BEST_LINES = 500; // of those
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };

const drawn = new Map(); // element -> figure
let chosen = null; // the set of row indices that the brushes leave; null: all of them

// The points of a trace that belong to chosen runs; traces without meta.runs stay as they are.
function narrowed(trace) {
  const runs = trace.meta && trace.meta.runs;
  if (chosen === null || !runs || trace.type === "parcoords") return trace;
  const keep = runs.map((run) => chosen.has(run));
  const copy = { ...trace };
  for (const key of ["x", "y", "base", "customdata"]) {
    if (Array.isArray(trace[key]) && trace[key].length === runs.length) copy[key] = trace[key].filter((_, place) => keep[place]);
  }
  return copy;
}

// Parallel coordinates with the best lines and an even sample of the others, if there are too many to see.
function thinned(trace) {
  const count = trace.meta.runs.length;
  if (count <= MOST_LINES) return trace;
  const colours = trace.line.color;
  const order = Array.from({ length: count }, (_, place) => place);
  if (Array.isArray(colours)) order.sort((one, two) => (trace.line.reversescale ? colours[two] - colours[one] : colours[one] - colours[two]));
  const rest = order.slice(BEST_LINES);
  const step = rest.length / (MOST_LINES - BEST_LINES);
  const sample = Array.from({ length: MOST_LINES - BEST_LINES }, (_, place) => rest[Math.floor(place * step)]);
  const keep = [...order.slice(0, BEST_LINES), ...sample].sort((one, two) => one - two);
  const of = (values) => keep.map((place) => values[place]);
  return {
    ...trace,
    line: Array.isArray(colours) ? { ...trace.line, color: of(colours) } : trace.line,
    dimensions: trace.dimensions.map((dimension) => ({ ...dimension, values: of(dimension.values) })),
  };
}

function layoutOf(figure) {
  // The same revision keeps the zoom when the figure is drawn again.
  return { uirevision: figure.name, ...figure.layout, template: data.templates[dark.matches ? "dark" : "light"], autosize: true };
}

function draw(element, figure) {
  drawn.set(element, figure);
  const parallel = figure.name === "parallel";
  Plotly.newPlot(element, figure.data.map(parallel ? thinned : narrowed), layoutOf(figure), CONFIG);
  if (parallel) element.on("plotly_restyle", () => brushed(element, figure));
  element.on("plotly_click", (event) => find(event.points[0]));
}

// A click on a run's point shows the details of the run.
function find(point) {
  if (!point || !point.data.meta || !point.data.meta.runs || !point.customdata) return;
  details.open(Array.isArray(point.customdata) ? point.customdata[0] : point.customdata);
}

// Which runs pass every brush, drawn or not; a brush is one range or several on an axis.
function passing(trace, drawnDimensions) {
  const brushes = trace.dimensions
    .map((dimension, place) => ({ ...dimension, constraintrange: drawnDimensions[place].constraintrange }))
    .filter((dimension) => dimension.constraintrange && dimension.constraintrange.length);
  if (!brushes.length) return null;
  const found = new Set();
  trace.meta.runs.forEach((run, place) => {
    const inside = ({ values, constraintrange, range }) => {
      const slack = 1e-6 * (range[1] - range[0]); // the ends of a brush are rounded
      return (Array.isArray(constraintrange[0]) ? constraintrange : [constraintrange]).some(
        ([low, high]) => low - slack <= values[place] && values[place] <= high + slack,
      );
    };
    if (brushes.every(inside)) found.add(run);
  });
  return found;
}

function brushed(element, figure, again = false) {
  chosen = passing(figure.data[0], element.data[0].dimensions);
  table.choose(chosen, again);
  document.querySelector("#chosen").hidden = chosen === null;
  if (chosen) document.querySelector("#chosen span").textContent = `${chosen.size.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} runs`;
  redraw((figure) => figure.name !== "parallel");
}

function redraw(which) {
  for (const [element, figure] of drawn) {
    // The parallel coordinates go on with their own data, which hold the brushes.
    const traces = figure.name === "parallel" ? element.data : figure.data;
    if (which(figure)) Plotly.react(element, traces.map(narrowed), layoutOf(figure), CONFIG);
  }
}

function unbrush() {
  for (const [element, figure] of drawn) {
    if (figure.name !== "parallel") continue;
    const clear = Object.fromEntries(figure.data[0].dimensions.map((_, place) => [`dimensions[${place}].constraintrange`, null]));
    Plotly.restyle(element, clear, [0]);
  }
}

const waiting = new Map(); // element -> figure, of those that are not drawn yet
const watcher = new IntersectionObserver(
  // One at a time, so that the page can be read and scrolled between them.
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => setTimeout(bring, 0, entry.target)),
  { rootMargin: "400px" },
);

function bring(element) {
  const figure = waiting.get(element);
  if (!figure) return;
  waiting.delete(element);
  watcher.unobserve(element);
  draw(element, figure);
}

// Draws other content into an element: at once if it is drawn, else when it comes near the window.
function renew(element, figure) {
  if (!drawn.has(element)) {
    waiting.set(element, figure);
    watcher.unobserve(element);
    watcher.observe(element);
    return;
  }
  drawn.set(element, figure);
  element.style.height = `${figure.layout.height}px`;
  if (figure.name !== "parallel") {
    Plotly.react(element, figure.data.map(narrowed), layoutOf(figure), CONFIG);
    return;
  }
  const before = element.data[0].dimensions;
  const trace = thinned(figure.data[0]);
  const dimensions = trace.dimensions.map((dimension) => {
    const same = before.find(({ label }) => label === dimension.label);
    return same && same.constraintrange ? { ...dimension, constraintrange: same.constraintrange } : dimension;
  });
  Plotly.react(element, [{ ...trace, dimensions }], layoutOf(figure), CONFIG);
  if (chosen !== null) brushed(element, figure, true);
}

// Takes the figures of a part of the page off it.
function forget(home) {
  for (const element of home.querySelectorAll("[id^=figure-]")) {
    watcher.unobserve(element);
    waiting.delete(element);
    if (drawn.delete(element)) Plotly.purge(element);
  }
}

// The sentences of a card's figures.
function notesOf(group) {
  const notes = [];
  for (const figure of group) {
    const { note, empty } = figure.layout.meta || {};
    const lines = figure.name === "parallel" && figure.data.length ? figure.data[0].meta.runs.length : 0;
    if (note && (!figure.small || !notes.length)) notes.push(note);
    if (figure.name === "parallel" && !empty) notes.push("Drag along an axis to choose runs, here and everywhere on the page; click an axis to undo.");
    if (lines > MOST_LINES) {
      const [most, best, all] = [MOST_LINES, BEST_LINES, lines].map((number) => number.toLocaleString("en"));
      notes.push(`${most} of ${all} lines are drawn, the best ${best} and a sample of the others; a choice counts all lines.`);
    }
    if (empty) notes.push(empty);
  }
  return notes.map((note) => make("p", "note", note));
}

// Makes the card of the figures that share a heading.
function fillCard(card, group) {
  forget(card);
  card.replaceChildren(make("h2", "", group[0].heading), make("div", "notes"));
  card.querySelector(".notes").append(...notesOf(group));
  const home = group[0].small ? card.appendChild(make("div", "grid")) : card;
  for (const figure of group.filter((each) => !(each.layout.meta || {}).empty)) {
    const frame = make("div", "figure");
    const element = make("div");
    element.id = `figure-${figure.name}`;
    element.style.height = `${figure.layout.height}px`;
    if (figure.name === "parallel") element.style.minWidth = `${AXIS_WIDTH * figure.data[0].dimensions.length}px`;
    frame.append(element);
    home.append(frame);
    renew(element, figure);
  }
}

// Makes the cards of all figures. Called again it draws the figures with these names anew, in their places.
function figures(changed) {
  const groups = new Map();
  for (const figure of data.figures) groups.set(figure.heading, [...(groups.get(figure.heading) || []), figure]);
  const home = document.querySelector("#figures");
  for (const [heading, group] of groups) {
    let card = [...home.children].find((each) => each.dataset.heading === heading);
    const names = group.map((figure) => ((figure.layout.meta || {}).empty ? "" : figure.name)).join(" ");
    if (!card) {
      card = home.appendChild(make("section", "card"));
      Object.assign(card.dataset, { heading, figure: group[0].name });
    }
    if (card.dataset.names !== names) fillCard(card, group);
    else if (changed) {
      card.querySelector(".notes").replaceChildren(...notesOf(group));
      group.filter((figure) => names && changed.has(figure.name)).forEach((figure) => renew(document.querySelector(`#figure-${figure.name}`), figure));
    }
    card.dataset.names = names;
  }
}

figures();
document.querySelector("#chosen button").addEventListener("click", unbrush);
dark.addEventListener("change", () => redraw(() => true));
window.addEventListener("beforeprint", () => [...waiting.keys()].forEach(bring));
