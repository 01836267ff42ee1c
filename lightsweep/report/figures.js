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
  return { ...figure.layout, template: data.templates[dark.matches ? "dark" : "light"], autosize: true };
}

function draw(element, figure) {
  drawn.set(element, figure);
  const parallel = figure.name === "parallel";
  Plotly.newPlot(element, figure.data.map(parallel ? thinned : narrowed), layoutOf(figure), CONFIG);
  if (parallel) element.on("plotly_restyle", () => brushed(element, figure));
  element.on("plotly_click", (event) => find(event.points[0]));
}

// A click on a run's point finds it in the table.
function find(point) {
  if (!point || !point.data.meta || !point.customdata) return;
  const id = Array.isArray(point.customdata) ? point.customdata[0] : point.customdata;
  document.querySelector("#filter").value = id;
  table.filter(id);
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

function brushed(element, figure) {
  chosen = passing(figure.data[0], element.data[0].dimensions);
  table.choose(chosen);
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

function figures() {
  const cards = new Map();
  for (const figure of data.figures) {
    let card = cards.get(figure.heading);
    if (!card) {
      card = make("section", "card");
      card.dataset.figure = figure.name;
      card.append(make("h2", "", figure.heading));
      if (figure.name === "parallel") card.append(make("p", "note", "Drag along an axis to choose runs, here and everywhere on the page; click an axis to undo."));
      document.querySelector("#figures").append(card);
      cards.set(figure.heading, card);
    }
    const meta = figure.layout.meta || {};
    let home = card;
    if (figure.small) {
      home = card.querySelector(".grid") || card.appendChild(make("div", "grid"));
    }
    const lines = figure.name === "parallel" && figure.data.length ? figure.data[0].meta.runs.length : 0;
    if (lines > MOST_LINES) {
      const [most, best, all] = [MOST_LINES, BEST_LINES, lines].map((number) => number.toLocaleString("en"));
      card.append(make("p", "note", `${most} of ${all} lines are drawn, the best ${best} and a sample of the others; a choice counts all lines.`));
    }
    if (meta.note && (!figure.small || !card.querySelector(".note"))) card.querySelector("h2").after(make("p", "note", meta.note));
    if (meta.empty) {
      home.append(make("p", "note", meta.empty));
      continue;
    }
    const frame = make("div", "figure");
    const element = make("div");
    element.id = `figure-${figure.name}`;
    element.style.height = `${figure.layout.height}px`;
    if (figure.name === "parallel") element.style.minWidth = `${AXIS_WIDTH * figure.data[0].dimensions.length}px`;
    frame.append(element);
    home.append(frame);
    waiting.set(element, figure);
    watcher.observe(element);
  }
}

figures();
document.querySelector("#chosen button").addEventListener("click", unbrush);
dark.addEventListener("change", () => redraw(() => true));
window.addEventListener("beforeprint", () => [...waiting.keys()].forEach(bring));
