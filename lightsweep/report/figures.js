"use strict";

// Draws the figures, each when it comes near the window, and lets the brushes of the parallel coordinates choose runs
// for all of them and for the table.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const QUIET = 120; // milliseconds without a change of the choice, after which the table and the figures follow
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };

const PARALLEL_HELP =
  "Drag along an axis to filter the whole page; click the axis to clear. The thick green line is the best run. " +
  "By keyboard: on the name of an axis, arrow keys move the lower end of its range, with Shift the upper end; Delete clears it; Alt and arrow keys move the axis.";

const drawn = new Map(); // element -> figure
let chosen = null; // the set of row indices that the brushes leave; null: all of them

// The points of a trace that belong to chosen runs; traces without meta.runs stay as they are.
function narrowed(trace) {
  const runs = trace.meta && trace.meta.runs;
  if (chosen === null || !runs) return trace;
  const keep = runs.map((run) => chosen.has(run));
  const copy = { ...trace };
  for (const key of ["x", "y", "base", "customdata"]) {
    if (Array.isArray(trace[key]) && trace[key].length === runs.length) copy[key] = trace[key].filter((_, place) => keep[place]);
  }
  return copy;
}

function layoutOf(figure) {
  return { ...figure.layout, template: data.templates[dark.matches ? "dark" : "light"], autosize: true };
}

function draw(element, figure) {
  drawn.set(element, figure);
  if (figure.name === "parallel") {
    element.parallel = new Parallel(element, figure, choose);
    return;
  }
  Plotly.newPlot(element, tracesOf(figure), layoutOf(figure), CONFIG);
  answerHover(element);
  element.on("plotly_click", (event) => find(runOf(event.points[0])));
}

// The box of hover.js stands for plotly's own at the points of runs.
function tracesOf(figure) {
  return figure.data.map(narrowed).map((trace) => (trace.meta && trace.meta.runs ? { ...trace, hovertemplate: null, hoverinfo: "none" } : trace));
}

// A click on a run's point finds it in the table.
function find(run) {
  if (run !== undefined) table.find(run);
}

// Takes the rows that the ranges of the parallel coordinates leave; null: all of them.
let settling = null;
function choose(found) {
  chosen = found;
  document.querySelector("#chosen").hidden = chosen === null;
  if (chosen) document.querySelector("#chosen span").textContent = `${chosen.size.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} runs`;
  clearTimeout(settling);
  settling = setTimeout(() => {
    settling = null;
    table.choose(chosen);
    redraw((figure) => figure.name !== "parallel");
  }, QUIET);
}

// Draws figures anew, one for each task of the browser; those far from the window when they come near it.
function redraw(which) {
  for (const [element, figure] of drawn) {
    if (!which(figure)) continue;
    waiting.set(element, figure);
    watcher.unobserve(element);
    watcher.observe(element);
  }
}

function unbrush() {
  for (const element of drawn.keys()) if (element.parallel) element.parallel.clear();
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
  if (!drawn.has(element)) draw(element, figure);
  else if (element.parallel) element.parallel.redraw();
  else Plotly.react(element, tracesOf(figure), layoutOf(figure), CONFIG);
}

function figures() {
  const cards = new Map();
  for (const figure of data.figures) {
    let card = cards.get(figure.heading);
    if (!card) {
      card = make("section", "card");
      card.dataset.figure = figure.name;
      card.append(make("h2", "", figure.heading));
      if (figure.name === "parallel") card.append(Object.assign(make("p", "note", PARALLEL_HELP), { id: "parallel-help" }));
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
