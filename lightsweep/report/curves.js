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
  const layout = { height: 420, hovermode: "closest", xaxis: { title: { text: "step" } }, yaxis: { title: { text: title } } };
  return { name: "curves", data: traces, layout };
}

function curveChooser() {
  const card = document.querySelector('[data-figure="curves"]');
  if (!data.logged || !card) return;
  const { names, note } = data.logged;
  const original = data.figures.find((figure) => figure.name === "curves");
  const empty = (original.layout.meta || {}).empty;
  const select = (text, options, label) => {
    const made = make("select");
    options.forEach(([value, name]) => made.append(new Option(name, value)));
    const home = make("label", "", `${text} `);
    home.append(made);
    made.setAttribute("aria-label", label);
    return [home, made];
  };
  const every = names.map(({ name }, place) => [place, name]);
  const metric = empty ? [] : [["", `${data.headline.metric.replace(/^\S+ /, "")}, by iteration`]];
  const [first, shown] = select("Show", [...metric, ...every.map(([place, name]) => [place, `${name}, by step`])], "Number of the learning curves");
  const [second, other] = select("beside", [[BESIDE, "nothing"], ...every], "Number beside it, dotted");
  const controls = make("div", "controls");
  controls.append(first, second);
  const said = make("p", "note", note);
  said.setAttribute("role", "status");
  const notes = [...card.querySelectorAll(".note")];
  card.querySelector("h2").after(controls, said);

  function show() {
    const byIteration = shown.value === "";
    other.disabled = byIteration;
    notes.forEach((each) => (each.hidden = !byIteration));
    said.hidden = byIteration || !note;
    let element = card.querySelector("#figure-curves");
    if (!element) {
      element = make("div");
      element.id = "figure-curves";
      element.style.height = "420px";
      const frame = make("div", "figure");
      frame.append(element);
      card.append(frame);
    }
    const figure = byIteration ? original : loggedFigure(Number(shown.value), Number(other.value));
    if (drawn.has(element)) {
      drawn.set(element, figure);
      Plotly.react(element, tracesOf(figure), layoutOf(figure), CONFIG);
    } else {
      waiting.set(element, figure);
      watcher.unobserve(element);
      watcher.observe(element);
    }
  }
  shown.addEventListener("change", () => {
    const beside = shown.value === "" ? null : names[Number(shown.value)].beside;
    other.value = String(beside === null ? BESIDE : beside);
    show();
  });
  other.addEventListener("change", show);
  show();
}

function parts() {
  if (!data.parts) return;
  const section = document.querySelector("#parts");
  section.hidden = false;
  section.querySelector(".note").textContent = `Further calls of init() in a run, such as folds: the sweep compares only a part that counts, instead of its run. ${data.parts.note}`;
  const row = (tag, texts) => {
    const made = make("tr");
    made.append(...texts.map((text, place) => make(place === 0 ? "th" : tag, "", text)));
    return made;
  };
  section.querySelector("thead").append(row("th", data.parts.columns));
  section.querySelector("tbody").append(...data.parts.rows.map((texts) => row("td", texts)));
}

curveChooser();
parts();
