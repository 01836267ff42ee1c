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
  if (facts.best) tile(`Best ${facts.best.metric}`, facts.best.value, `run ${facts.best.run}, ${facts.best.state}`, "first");
  else tile("Best", "–", facts.no_best);
  const counts = Object.entries(facts.counts).map(([state, count]) => `${count.toLocaleString("en")} ${state}`);
  if (facts.priors) counts.push(`+ ${facts.priors.toLocaleString("en")} prior run${facts.priors === 1 ? "" : "s"}`);
  tile("Runs", facts.runs.toLocaleString("en"), counts.join(", "));
  if (facts.saved) tile("Saved by stopping early", facts.saved.share, facts.saved.text);
  if (facts.seconds !== null) tile("Wall time", duration(facts.seconds), "");
  document.querySelector("#best").hidden = !facts.best;
  const yaml = document.querySelector("#yaml");
  if (facts.best && yaml.textContent !== facts.best.config) {
    document.querySelector("#best h2").textContent = `Config of the best run, ${facts.best.run}`;
    yaml.textContent = facts.best.config;
  }
  const others = facts.metrics.length ? ` The sweep has several metrics; this page compares runs by the first.` : "";
  document.querySelector("#footer").textContent = `Made by lightsweep on ${facts.made}.${others}`;
}

async function copy(event) {
  const button = event.target;
  const source = document.querySelector("#yaml");
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Not allowed, as in some pages opened from a file: leave the text selected.
    window.getSelection().selectAllChildren(source);
    button.textContent = "Selected; copy now";
  }
  setTimeout(() => (button.textContent = "Copy YAML"), 2000);
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

headline();
stages();
document.querySelector("#copy").addEventListener("click", copy);
const table = new RunTable(data.columns, data.rows, data.sort, data.states, data.headline.best && data.headline.best.run);
