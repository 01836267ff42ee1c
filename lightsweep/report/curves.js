"use strict";

// Lets the reader choose the numbers of the learning curves: the sweep's metric over the iterations, or any number that
// was logged over the steps, with another one beside it, such as that of training. The names are text or escaped already.
const BESIDE = -1; // no other number

// One trace for each state, with gaps between the runs, so that a brush narrows them as it does others.
function loggedTraces(place, dashed) {
  const { names, runs } = data.logged;
  const best = data.headline.best && data.headline.best.run;
  const found = new Map();
  for (const { row, curves } of runs) {
    const curve = curves.find(([name]) => name === place);
    if (!curve) continue;
    const [id, state] = data.rows[row];
    const key = id === best ? "best run" : state;
    if (!found.has(key)) found.set(key, { x: [], y: [], customdata: [], owners: [], single: true });
    const trace = found.get(key);
    const [, steps, values] = curve;
    trace.x.push(...steps, null);
    trace.y.push(...values, null);
    for (let point = 0; point <= steps.length; point += 1) {
      trace.customdata.push(id);
      trace.owners.push(row);
    }
    trace.single = trace.single && steps.length === 1;
  }
  const order = [...Object.keys(data.states), "best run"].filter((key) => found.has(key));
  return order.map((key) => {
    const { x, y, customdata, owners, single } = found.get(key);
    const first = key === "best run";
    return {
      type: "scatter",
      mode: single ? "markers" : "lines",
      name: dashed ? `${names[place].label}, ${key}` : key,
      x,
      y,
      customdata,
      hovertemplate: `run %{customdata}, step %{x}: %{y:.5g}<extra>${names[place].label}</extra>`,
      line: { color: first ? data.accent : data.states[key], width: first ? 3 : 1.3, dash: dashed ? "dot" : "solid" },
      opacity: first ? 1 : 0.55,
      connectgaps: false,
      meta: { runs: owners },
    };
  });
}

function loggedFigure(place, beside) {
  const { names } = data.logged;
  const traces = loggedTraces(place, false);
  if (beside !== BESIDE) traces.push(...loggedTraces(beside, true));
  const title = beside === BESIDE ? names[place].label : `${names[place].label}; dotted: ${names[beside].label}`;
  const layout = { height: 420, uirevision: title, hovermode: "closest", xaxis: { title: { text: "step" } }, yaxis: { title: { text: title } } };
  return { name: "curves", data: traces, layout };
}

// What the reader has chosen: the names of two numbers; null is the metric over the iterations, and no number beside it.
const choice = { shown: null, beside: null };
let chooser = null; // its element, the numbers that it offers, and the function that draws the chosen ones

// Makes the chooser, or makes it anew for other numbers, and draws the chosen ones; the choice stays.
function curveChooser() {
  const card = document.querySelector('[data-figure="curves"]');
  if (!data.logged || !card) return;
  const { names } = data.logged;
  const original = () => data.figures.find((figure) => figure.name === "curves");
  const byIteration = !(original().layout.meta || {}).empty;
  const offered = JSON.stringify([byIteration, names]);
  if (chooser && chooser.offered === offered && card.contains(chooser.controls)) {
    chooser.show();
    return;
  }
  const every = names.map(({ name }, place) => [place, name]);
  const placeOf = (name) => names.findIndex((each) => each.name === name);
  const select = (text, options, label) => {
    const made = make("select");
    options.forEach(([value, name]) => made.append(new Option(name, value)));
    const home = make("label", "", `${text} `);
    home.append(made);
    made.setAttribute("aria-label", label);
    return [home, made];
  };
  const metric = byIteration ? [["", `${data.headline.metric.replace(/^\S+ /, "")}, by iteration`]] : [];
  const [first, shown] = select("Show", [...metric, ...every.map(([place, name]) => [place, `${name}, by step`])], "Number of the learning curves");
  const [second, other] = select("beside", [[BESIDE, "nothing"], ...every], "Number beside it, dotted");
  if (placeOf(choice.shown) >= 0) shown.value = String(placeOf(choice.shown));
  other.value = String(placeOf(choice.beside));
  const focused = document.activeElement && document.activeElement.getAttribute("aria-label");
  const controls = make("div", "controls");
  controls.append(first, second);
  const said = make("p", "note logged");
  said.setAttribute("role", "status");
  card.querySelectorAll(".controls, .note.logged").forEach((each) => each.remove());
  card.querySelector("h2").after(controls, said);
  [shown, other].filter((each) => each.getAttribute("aria-label") === focused).forEach((each) => each.focus({ preventScroll: true }));

  function show() {
    const iterations = shown.value === "";
    other.disabled = iterations;
    card.querySelector(".notes").hidden = !iterations;
    if (said.textContent !== data.logged.note) said.textContent = data.logged.note;
    said.hidden = iterations || !data.logged.note;
    let element = card.querySelector("#figure-curves");
    if (!element) {
      element = make("div");
      element.id = "figure-curves";
      element.style.height = "420px";
      const frame = make("div", "figure");
      frame.append(element);
      card.append(frame);
    }
    renew(element, iterations ? original() : loggedFigure(Number(shown.value), Number(other.value)));
  }
  shown.addEventListener("change", () => {
    const { name, beside } = shown.value === "" ? { name: null, beside: null } : names[Number(shown.value)];
    other.value = String(beside === null ? BESIDE : beside);
    Object.assign(choice, { shown: name, beside: beside === null ? null : names[beside].name });
    show();
  });
  other.addEventListener("change", () => {
    choice.beside = other.value === String(BESIDE) ? null : names[Number(other.value)].name;
    show();
  });
  chooser = { controls, offered, show };
  show();
}

function parts() {
  if (!data.parts) return;
  const section = document.querySelector("#parts");
  section.querySelector(".note").textContent = `Further calls of init() in a run, such as folds: the sweep compares only a part that counts, instead of its run. ${data.parts.note}`;
  fillTable(section, data.parts);
}

curveChooser();
parts();
