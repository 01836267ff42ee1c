"use strict";

// What the pointer is on: a box with the run and its parameters, and the curve of the run lifted above the others.
const MOST_FACTS = 14; // parameters in the box
const tip = document.body.appendChild(make("div"));
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");

const rowOf = new Map(); // id of a run -> its row
function rowOfRun(id) {
  if (rowOf.size !== data.rows.length) data.rows.forEach(([each], row) => rowOf.set(each, row));
  return rowOf.get(id);
}

// Shows the run of a row beside the pointer; `more` are names and texts before its parameters.
function showTip(event, row, more = []) {
  const cells = data.rows[row];
  const [id, state] = cells;
  if (tip.dataset.run !== id || more.length) {
    tip.dataset.run = id;
    const list = make("dl");
    const add = (name, text) => list.append(make("dt", "", name), make("dd", "", text));
    more.forEach(([name, text]) => add(name, text));
    const places = data.columns.map((_, place) => place).filter((place) => data.columns[place].kind === "value" && cells[place] !== null);
    if (data.headline.metric && !more.length) places.unshift(2);
    places.slice(0, MOST_FACTS).forEach((place) => add(data.columns[place].name, RunTable.text(cells[place], data.columns[place].kind)));
    if (places.length > MOST_FACTS) add("", `and ${places.length - MOST_FACTS} more`);
    tip.replaceChildren(make("b", "", `run ${id}, ${state}`), list);
  }
  tip.hidden = false;
  const [x, y] = [event.clientX + 14, event.clientY + 14];
  const { offsetWidth: width, offsetHeight: height } = tip;
  tip.style.left = `${Math.max(4, x + width > innerWidth - 8 ? event.clientX - width - 14 : x)}px`;
  tip.style.top = `${Math.max(4, y + height > innerHeight - 8 ? event.clientY - height - 14 : y)}px`;
}

function hideTip() {
  tip.hidden = true;
}

// Of a figure of plotly: the box for points of runs, and the curve of a run lifted.
function answerHover(element) {
  if (element.answers) return;
  element.answers = true;
  element.on("plotly_hover", ({ points: [point], event }) => {
    const run = runOf(point);
    if (run === undefined || !event) return;
    const { xaxis, yaxis } = point;
    const text = (value) => (typeof value === "number" ? RunTable.text(value, "number") : String(value));
    const axis = (each) => ((each.title || {}).text || "").replace(/<[^>]*>/g, " ");
    const more = point.data.type === "bar" ? [] : [[plain(axis(yaxis)) || data.columns[2].name, text(point.y)]];
    if (String(point.data.mode).includes("lines")) more.unshift([plain(axis(xaxis)), text(point.x)]);
    showTip(event, rowOfRun(run), more);
    liftCurve(element, point, run);
  });
  element.on("plotly_unhover", () => {
    hideTip();
    element.querySelectorAll(".lifted").forEach((each) => each.remove());
  });
}

// The id of the run that a point belongs to; undefined for others.
function runOf(point) {
  if (!point || !point.data.meta || !point.data.meta.runs || point.customdata === undefined) return undefined;
  return Array.isArray(point.customdata) ? point.customdata[0] : point.customdata;
}

// Text that was escaped for plotly, as plain text.
function plain(text) {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code));
}

function liftCurve(element, point, run) {
  element.querySelectorAll(".lifted").forEach((each) => each.remove());
  const { xaxis, yaxis, data: trace } = point;
  const layer = element.querySelector(".scatterlayer");
  if (!String(trace.mode).includes("lines") || !layer) return;
  const parts = [];
  let pen = "M";
  trace.x.forEach((x, place) => {
    if (trace.customdata[place] !== run) return;
    if (x === null || trace.y[place] === null) pen = "M";
    else {
      parts.push(`${pen}${xaxis.d2p(x).toFixed(1)},${yaxis.d2p(trace.y[place]).toFixed(1)}`);
      pen = "L";
    }
  });
  for (const kind of ["halo", "line"]) layer.parentNode.append(Parallel.node("path", { d: parts.join(""), class: `lifted ${kind}`, stroke: trace.line.color }));
}
