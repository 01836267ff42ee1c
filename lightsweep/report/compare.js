"use strict";

// Compares the runs whose boxes are ticked: their curves in one figure, and their parameters and numbers side by side,
// those that differ first. All text of users goes through textContent, or is escaped for plotly.
const MOST_COMPARED = 10;
const RUN_COLOURS = ["#3f83c9", "#d9702f", "#2f9e58", "#b0489b", "#8a7a1f", "#1fa3b3", "#d64a5e", "#7d6bbd", "#6b7480", "#a0673a"];

const forPlot = (text) => text.replace(/[&<>{}$]/g, (character) => `&#${character.charCodeAt(0)};`);

function tableRow(tag, cells) {
  const made = make("tr");
  made.append(...cells.map((cell, place) => (cell instanceof Element ? cell : make(place === 0 ? "th" : tag, "", cell))));
  return made;
}

// A table in a part of the page that scrolls sideways, with a name for screen readers.
function framedTable(label, head, groups) {
  const scroll = make("div", "scroll");
  Object.assign(scroll, { tabIndex: 0, role: "region" });
  scroll.setAttribute("aria-label", label);
  const made = scroll.appendChild(make("table"));
  made.appendChild(make("thead")).append(head);
  for (const rows of groups.filter((each) => each.length)) made.appendChild(make("tbody")).append(...rows);
  return scroll;
}

// A figure with the curves of some runs, and a chooser of the number. Called again it keeps the choice.
class RunCurves {
  constructor(home, name) {
    this.home = home;
    this.name = name;
    this.runs = [];
    this.select = make("select");
    this.select.setAttribute("aria-label", "Number of the curves");
    this.select.addEventListener("change", () => this.draw());
    const label = make("label", "", "Show ");
    label.append(this.select);
    this.controls = make("div", "controls");
    this.controls.append(label);
    this.note = make("p", "note");
    this.element = make("div");
    this.element.id = `figure-${name}`;
    this.element.style.height = "320px";
    const frame = make("div", "figure");
    frame.append(this.element);
    home.append(this.controls, this.note, frame);
  }

  show(runs) {
    this.runs = runs;
    const names = [...new Set(runs.flatMap((run) => Object.keys(run.curves)))];
    if (names.join("\n") !== [...this.select.options].map(({ value }) => value).join("\n")) {
      const chosen = this.select.value;
      this.select.replaceChildren(...names.map((name) => new Option(name, name)));
      if (names.includes(chosen)) this.select.value = chosen;
    }
    this.home.hidden = !names.length;
    if (names.length) this.draw();
  }

  draw() {
    const name = this.select.value;
    const lines = this.runs.flatMap((run, place) => {
      const curve = run.curves[name];
      if (!curve) return [];
      const [x, y] = curve;
      const line = { color: RUN_COLOURS[place % RUN_COLOURS.length], width: 2 };
      return [{ type: "scatter", mode: x.length > 1 ? "lines" : "markers", name: `run ${run.id}`, x, y, line, hovertemplate: "%{x}: %{y:.5g}" }];
    });
    const without = this.runs.filter((run) => !run.curves[name]).map((run) => run.id);
    this.note.hidden = !without.length;
    this.note.textContent = `This page has no such curve of run ${without.join(", ")}.`;
    const layout = {
      height: 320,
      uirevision: name,
      showlegend: this.runs.length > 1,
      hovermode: "x unified",
      xaxis: { title: { text: name.endsWith(", by iteration") ? "iteration" : "step" } },
      yaxis: { title: { text: forPlot(name) } },
    };
    const figure = { name: this.name, data: lines, layout };
    drawn.set(this.element, figure);
    plotly().react(this.element, lines, layoutOf(figure), CONFIG);
  }

  forget() {
    forget(this.home);
  }
}

class Comparison {
  constructor() {
    this.dialog = document.querySelector("#comparison");
    this.button = document.querySelector("#compare");
    this.curves = null;
    this.last = "";
    this.button.addEventListener("click", () => this.open());
    this.dialog.addEventListener("close", () => this.left());
    document.querySelector("#runs tbody").addEventListener("change", ({ target }) => {
      const run = target.closest("tr").dataset.run;
      if (target.checked) table.ticked.add(run);
      else table.ticked.delete(run);
      this.count();
    });
    this.count();
  }

  count() {
    const count = table.ticked.size;
    this.button.disabled = count < 2;
    this.button.textContent = count < 2 ? "Compare: tick two runs" : `Compare ${count} runs`;
  }

  async open() {
    const title = make("h2", "", "Compare runs");
    title.id = "comparison-title";
    const clear = make("button", "", "Clear ticks");
    clear.type = "button";
    clear.addEventListener("click", () => {
      table.ticked.clear();
      table.draw();
      this.count();
      this.dialog.close();
    });
    const bar = make("div", "bar");
    const buttons = make("span");
    buttons.append(closer(this.dialog), clear);
    bar.append(title, buttons);
    const curves = make("div");
    curves.hidden = true;
    this.body = make("div");
    this.body.append(make("p", "note", "Waiting for an answer …"));
    this.dialog.replaceChildren(bar, curves, this.body);
    this.dialog.showModal();
    this.curves = new RunCurves(curves, "comparison-curves");
    this.last = "";
    await this.refresh();
  }

  // Shows the runs as they are now.
  async refresh() {
    if (!this.dialog.open) return;
    const ids = data.rows.map(([id]) => id).filter((id) => table.ticked.has(id));
    const shown = ids.slice(0, MOST_COMPARED);
    let runs;
    try {
      runs = await Promise.all(shown.map(runFacts));
    } catch (error) {
      this.body.replaceChildren(make("p", "note", said(error)));
      return;
    }
    const text = JSON.stringify(runs);
    if (!this.dialog.open || text === this.last) return;
    this.last = text;
    this.curves.show(runs);
    const head = (name) => tableRow("th", [
      name,
      ...runs.map((run, place) => {
        const cell = make("th", "", run.id);
        cell.scope = "col";
        const key = make("span", "key");
        key.style.background = RUN_COLOURS[place % RUN_COLOURS.length];
        cell.prepend(key);
        return cell;
      }),
    ]);
    const parameters = Comparison.rows(runs, (run) => Object.fromEntries(run.parameters));
    const numbers = Comparison.rows(runs, (run) => Object.fromEntries(run.metrics.map(([name, last]) => [`last ${name}`, RunTable.text(last, "number")])));
    const facts = Comparison.rows(runs, (run) => Object.fromEntries(run.facts));
    const parts = [
      ["Parameters that differ", "parameter", parameters.differing],
      ["Parameters that are equal", "parameter", parameters.equal],
      ["Numbers", "number", [...numbers.differing, ...numbers.equal]],
      ["Runs", "fact", [...facts.differing, ...facts.equal]],
    ];
    const top = this.dialog.scrollTop;
    this.body.replaceChildren(
      ...parts.filter(([, , rows]) => rows.length).flatMap(([heading, name, rows]) => [make("h3", "", heading), framedTable(heading, head(name), [rows])]),
    );
    if (ids.length > shown.length) this.body.prepend(make("p", "note", `The first ${MOST_COMPARED} of ${ids.length} ticked runs are shown.`));
    this.dialog.scrollTop = top;
  }

  // A row for each name that a run has, apart for those whose values differ and those whose values are equal.
  static rows(runs, namesOf) {
    const all = runs.map(namesOf);
    const found = { differing: [], equal: [] };
    for (const name of new Set(all.flatMap(Object.keys))) {
      const values = all.map((one) => (name in one ? one[name] : "–"));
      const differs = new Set(values).size > 1;
      const row = tableRow("td", [name, ...values]);
      row.classList.toggle("differs", differs);
      found[differs ? "differing" : "equal"].push(row);
    }
    return found;
  }

  left() {
    if (this.curves) this.curves.forget();
    this.dialog.replaceChildren();
    this.curves = null;
  }
}

const comparison = new Comparison();
