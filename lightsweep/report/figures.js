"use strict";

// Draws the figures, one a frame when they come near the window, and lets the brushes of the parallel coordinates choose runs
// for all of them and for the table.
const QUIET = 120; // milliseconds without a change of the choice, after which the table and the figures follow
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };

const PARALLEL_NOTE = "Drag along an axis to filter the whole page; click the axis to clear. The thick green line is the best run.";
const PARALLEL_KEYS =
  " By keyboard: on the name of an axis, arrow keys move the lower end of its range, with Shift the upper end; Delete clears it; Alt and arrow keys move the axis.";

// The library of the figures. It is most of the page's code, so it runs only once a figure needs it.
function plotly() {
  if (!window.Plotly) document.body.append(Object.assign(make("script"), { textContent: document.querySelector("#plotly-source").textContent }));
  return window.Plotly;
}

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
  // The same revision keeps the zoom when the figure is drawn again.
  return { uirevision: figure.name, ...figure.layout, template: data.templates[isDark() ? "dark" : "light"], autosize: true };
}

function draw(element, figure) {
  drawn.set(element, figure);
  if (figure.name === "parallel") {
    element.parallel = new Parallel(element, figure, choose);
    return;
  }
  plotly().newPlot(element, tracesOf(figure), layoutOf(figure), CONFIG);
  answerHover(element);
  element.on("plotly_click", (event) => find(runOf(event.points[0])));
}

// The box of hover.js stands for plotly's own at the points of runs.
function tracesOf(figure) {
  return figure.data.map(narrowed).map((trace) => (trace.meta && trace.meta.runs ? { ...trace, hovertemplate: null, hoverinfo: "none" } : trace));
}

// A click on a run's point finds it in the table, and shows its details.
function find(run) {
  if (run === undefined) return;
  table.find(run);
  details.open(run);
}

// Takes the rows that the ranges of the parallel coordinates leave; null: all of them. The table and the figures follow
// once the ranges rest. `again`: the same ranges, over other runs.
let settling = null;
function choose(found, again = false) {
  chosen = found;
  document.querySelector("#chosen").hidden = chosen === null;
  if (chosen) document.querySelector("#chosen span").textContent = `${chosen.size.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} runs`;
  clearTimeout(settling);
  settling = setTimeout(() => {
    settling = null;
    table.choose(chosen, again);
    redraw((figure) => figure.name !== "parallel");
  }, QUIET);
}

// Draws figures anew, one for each task of the browser; those far from the window when they come near it.
function redraw(which) {
  for (const [element, figure] of drawn) if (which(figure)) wait(element, figure);
}

function wait(element, figure) {
  waiting.set(element, figure);
  watcher.unobserve(element);
  // The library is at the end of the page, which the browser may still be reading.
  if (figure.name === "parallel" || document.readyState !== "loading") watcher.observe(element);
  else document.addEventListener("DOMContentLoaded", () => watcher.observe(element), { once: true });
}

function unbrush() {
  for (const element of drawn.keys()) if (element.parallel) element.parallel.clear();
}

const waiting = new Map(); // element -> figure, of those that are not drawn yet
// Safari knows no idle time.
const whenIdle = (act) => (window.requestIdleCallback ? window.requestIdleCallback(act, { timeout: 1000 }) : setTimeout(act));
const near = []; // elements near the window, in the order in which they are drawn
const watcher = new IntersectionObserver(
  (entries) => {
    const idle = !near.length;
    near.push(...entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target));
    if (idle && near.length) setTimeout(next);
  },
  { rootMargin: "400px" },
);

// Draws one element. The others wait until the browser has shown it, so that the page can be read and scrolled meanwhile.
// The library, which keeps the browser longest, has a task of its own, when there is nothing else to do.
function next() {
  const later = () => requestAnimationFrame(() => setTimeout(next));
  if ([...drawn.keys()].some(({ parallel }) => parallel && parallel.busy)) {
    later();
    return;
  }
  const first = waiting.get(near[0]);
  if (first && first.name !== "parallel" && !window.Plotly) {
    whenIdle(() => {
      plotly();
      later();
    });
    return;
  }
  const element = near.shift();
  if (near.length) later();
  bring(element);
}

function bring(element) {
  const figure = waiting.get(element);
  if (!figure) return;
  waiting.delete(element);
  watcher.unobserve(element);
  if (!drawn.has(element)) draw(element, figure);
  else if (element.parallel) element.parallel.redraw();
  else plotly().react(element, tracesOf(figure), layoutOf(figure), CONFIG);
}

// Draws other content into an element when it is, or comes, near the window.
function renew(element, figure) {
  if (drawn.has(element)) {
    drawn.set(element, figure);
    if (element.parallel) {
      element.parallel.update(figure);
      if (chosen !== null) choose(element.parallel.rowsLeft(), true);
      return;
    }
    element.style.height = `${figure.layout.height}px`;
  }
  wait(element, figure);
}

// Takes the figures of a part of the page off it.
function forget(home) {
  for (const element of home.querySelectorAll("[id^=figure-]")) {
    watcher.unobserve(element);
    waiting.delete(element);
    if (drawn.delete(element) && !element.parallel) plotly().purge(element);
  }
}

// The sentences of a card's figures.
function notesOf(group) {
  const notes = [];
  for (const figure of group) {
    const { note, empty } = figure.layout.meta || {};
    const lines = figure.name === "parallel" && figure.data.length ? figure.data[0].meta.runs.length : 0;
    if (note && (!figure.small || !notes.length)) notes.push(note);
    if (figure.name === "parallel" && !empty) notes.push(PARALLEL_NOTE);
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
  const parallel = group[0].name === "parallel";
  if (group[0].help && !group.every((each) => (each.layout.meta || {}).empty)) {
    const help = make("details", "help");
    const text = make("p", "note", group[0].help + (parallel ? PARALLEL_KEYS : ""));
    if (parallel) text.id = "parallel-help";
    help.append(make("summary", "", "How to read this"), text);
    card.append(help);
  }
  const home = group[0].small ? card.appendChild(make("div", "grid")) : card;
  for (const figure of group.filter((each) => !(each.layout.meta || {}).empty)) {
    const frame = make("div", "figure");
    const element = make("div");
    element.id = `figure-${figure.name}`;
    element.style.height = `${figure.layout.height}px`;
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
  nothing(home);
}

// One sentence and what to do next in place of figures that are all empty.
function nothing(home) {
  const said = data.figures.map((figure) => (figure.layout.meta || {}).empty).filter(Boolean);
  const all = said.length === data.figures.length;
  for (const card of home.children) card.hidden = all && !(data.logged && card.dataset.figure === "curves");
  const card = document.querySelector("#nothing");
  card.hidden = !all;
  if (!all) return;
  card.querySelector("h2").textContent = said[0];
  const next = data.rows.length ? "The table below has what is known of the runs." : "Start an agent, which runs the sweep: ";
  card.querySelector("p").replaceChildren(next);
  if (!data.rows.length) card.querySelector("p").append(make("code", "", `lightsweep agent ${data.headline.id}`));
}

figures();
document.querySelector("#chosen button").addEventListener("click", unbrush);

// For the printer every figure is drawn in light colours and at the width of a sheet; afterwards as before.
function layOut(printed) {
  root.classList.toggle("printing", printed);
  [...waiting.keys()].forEach(bring);
  for (const [element, figure] of drawn) {
    if (element.parallel) element.parallel.redraw(printed);
    else plotly().react(element, tracesOf(figure), { ...layoutOf(figure), width: element.clientWidth });
  }
  for (const sheet of document.querySelectorAll(".scroll > table")) {
    sheet.style.zoom = "";
    const wide = sheet.scrollWidth / sheet.parentNode.clientWidth;
    if (printed && wide > 1) sheet.style.zoom = 1 / wide;
  }
}

let theme; // before printing
window.addEventListener("beforeprint", () => {
  if (root.classList.contains("printing")) return;
  theme = root.dataset.theme;
  root.dataset.theme = "light";
  layOut(true);
});
window.addEventListener("afterprint", () => {
  if (!root.classList.contains("printing")) return;
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  layOut(false);
});
