"use strict";

// Puts the data of the page into place. All text of users goes through textContent, or is escaped for plotly already.
const data = JSON.parse(document.querySelector("#data").textContent);

const make = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

function headline() {
  const { headline: facts } = data;
  document.querySelector("#title").textContent = facts.title;
  const words = [`sweep ${facts.id}`, facts.state, facts.method, facts.metric].filter(Boolean);
  document.querySelector("#subtitle").textContent = words.join(" · ");
  document.querySelector("#description").textContent = facts.description;
  document.querySelector("#description").hidden = !facts.description;
  const tiles = document.querySelector("#tiles");
  tiles.replaceChildren();
  const tile = (name, value, more, className = "") => {
    const made = make("div", `tile ${className}`);
    made.append(make("div", "name", name), make("div", "value", value), make("div", "more", more));
    tiles.append(made);
  };
  if (facts.best) tile(`Best ${facts.best.metric}`, facts.best.value, facts.best.group ? `group ${facts.best.group}, its best is run ${facts.best.run}` : `run ${facts.best.run}, ${facts.best.state}`, "first");
  else tile("Best", "–", facts.no_best);
  const counts = Object.entries(facts.counts).map(([state, count]) => `${count.toLocaleString("en")} ${state}`);
  if (facts.priors) counts.push(`+ ${facts.priors.toLocaleString("en")} prior run${facts.priors === 1 ? "" : "s"}`);
  tile("Runs", facts.runs.toLocaleString("en"), counts.join(", "));
  if (facts.front) tile("Pareto front", facts.front.members.toLocaleString("en"), `of ${facts.front.runs.toLocaleString("en")} runs, by ${facts.front.metrics}`);
  if (facts.saved) tile("Saved by stopping early", facts.saved.share, facts.saved.text);
  if (facts.seconds !== null) tile("Wall time", duration(facts.seconds), "");
  bestRun(facts.best);
  const others = facts.front ? ` The sweep has several metrics; but for the front, this page compares runs by the first.` : "";
  document.querySelector("#footer").textContent = `Made by lightsweep on ${facts.made}.${others}`;
}

// The best run: its curve, its parameters, and its config to copy.
function bestRun(best) {
  const card = document.querySelector("#best");
  card.hidden = !best;
  if (!best) return;
  card.querySelector("h2").textContent = `Best ${best.group ? `group ${best.group}` : `run ${best.run}`}: ${best.metric} ${best.value}`;
  const row = data.rows.find(([id]) => id === best.run);
  card.querySelector("dl").replaceChildren(
    ...best.parameters.map((name) => {
      const place = data.columns.findIndex((column) => column.kind === "value" && column.name === name);
      const pair = make("div");
      const value = make("dd", "", RunTable.text(row[place], "value"));
      value.title = value.textContent;
      pair.append(make("dt", "", name), value);
      if (data.columns[place].doubt) value.append(make("i", "", data.columns[place].doubt));
      return pair;
    }),
  );
  const numbers = best.history.filter((value) => value !== null);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const at = (value, place) => `${(4 + (232 * place) / Math.max(1, numbers.length - 1)).toFixed(1)},${(74 - (68 * (value - low)) / (high - low || 1)).toFixed(1)}`;
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("points", numbers.map(at).join(" "));
  const picture = card.querySelector("svg");
  picture.replaceChildren(line);
  picture.toggleAttribute("hidden", numbers.length < 2);
  for (const [name, text] of [["yaml", best.config], ["arguments", best.arguments]]) {
    const home = document.querySelector(`#${name}`);
    if (home.textContent !== text) home.textContent = text;
  }
  document.querySelector("#arguments").hidden = !best.arguments;
  document.querySelector("#copy-arguments").hidden = !best.arguments;
}

async function copy(event) {
  const button = event.target;
  const source = document.querySelector(`#${button.dataset.of}`);
  const before = button.dataset.text || button.textContent;
  button.dataset.text = before;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Not allowed, as in some pages opened from a file: leave the text selected.
    source.closest("details").open = true;
    window.getSelection().selectAllChildren(source);
    button.textContent = "Selected; copy now";
  }
  setTimeout(() => (button.textContent = before), 2000);
}

// Fills the table of a section, as often as its content changes.
function fillTable(section, { columns, rows }) {
  section.hidden = false;
  const row = (tag, texts) => {
    const made = make("tr");
    made.append(...texts.map((text, place) => make(place === 0 ? "th" : tag, "", text)));
    return made;
  };
  section.querySelector("thead").replaceChildren(row("th", columns));
  section.querySelector("tbody").replaceChildren(...rows.map((texts) => row("td", texts)));
}

function stages() {
  if (data.stages) fillTable(document.querySelector("#stages"), data.stages);
}

// The theme: the system's, until the reader chooses the other one.
const system = window.matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

function showTheme() {
  document.querySelector("#theme").textContent = isDark() ? "Light" : "Dark";
  document.querySelector("#theme").setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
}

function switchTheme() {
  root.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
  try {
    localStorage.setItem("lightsweep-theme", root.dataset.theme);
  } catch {
    // Not kept for the next visit, as in some pages opened from a file.
  }
  redraw(() => true);
}

try {
  const kept = localStorage.getItem("lightsweep-theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
} catch {
  // The system's theme, then.
}
showTheme();
document.querySelector("#theme").addEventListener("click", switchTheme);
system.addEventListener("change", () => {
  showTheme();
  redraw(() => true);
});
headline();
stages();
document.querySelectorAll("#best [data-of]").forEach((button) => button.addEventListener("click", copy));
const table = new RunTable(data.columns, data.rows, data.sort, data.states, data.headline.best && data.headline.best.run);
