"use strict";

// The table of runs: sorted by any column, filtered by words and by the runs that are chosen in the figures.
class RunTable {
  constructor(columns, rows, sort, states, bestId) {
    this.columns = columns;
    this.rows = rows;
    this.states = states;
    this.bestId = bestId;
    this.sort = sort;
    this.chosen = null; // a set of row indices; null: all of them
    this.words = [];
    this.shown = RunTable.PAGE;
    this.ticked = new Set(); // ids of the runs to compare
    this.texts = null; // of the rows, made when a filter needs them
    this.head = document.querySelector("#runs thead");
    this.body = document.querySelector("#runs tbody");
    this.makeHead();
    document.querySelector("#more").addEventListener("click", () => {
      this.shown += 5 * RunTable.PAGE;
      this.draw();
    });
    const frame = this.body.closest(".scroll");
    // Whether columns are beyond the right edge, which fades then.
    const look = () => frame.classList.toggle("more", frame.scrollLeft + frame.clientWidth < frame.scrollWidth - 2);
    frame.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(frame);
    new ResizeObserver(look).observe(frame.firstElementChild);
    document.querySelector("#filter").addEventListener("input", (event) => this.filter(event.target.value));
    this.draw();
  }

  makeHead() {
    const row = this.head.insertRow();
    this.columns.forEach((column, place) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.dataset.name = column.doubt ? `${column.name} (${column.doubt})` : column.name;
      cell.classList.toggle("right", RunTable.RIGHT.has(column.kind) || (place > 0 && this.hasNumbers(place)));
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.name;
      button.title = column.doubt ? `${column.name}: no run read it` : column.name;
      if (column.doubt) button.append(" ", Object.assign(document.createElement("i"), { textContent: column.doubt }));
      button.addEventListener("click", () => {
        const again = this.sort.column === place;
        this.sort = { column: place, descending: again && !this.sort.descending };
        this.draw();
      });
      cell.append(button);
      row.append(cell);
    });
  }

  // Shows other rows, and other columns if there are some; the order, the filter and the choice stay.
  update(columns, rows, bestId) {
    const names = ({ name }) => name;
    if (columns.map(names).join("\n") !== this.columns.map(names).join("\n")) {
      const sorted = this.columns[this.sort.column].name;
      this.columns = columns;
      this.sort = { ...this.sort, column: Math.max(0, columns.map(names).indexOf(sorted)) };
      this.head.replaceChildren();
      this.makeHead();
    }
    Object.assign(this, { rows, bestId, texts: null });
    this.draw();
  }

  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.shown = RunTable.PAGE;
    this.draw();
  }

  choose(chosen, again = false) {
    this.chosen = chosen;
    if (!again) this.shown = RunTable.PAGE;
    this.draw();
  }

  // Brings the line of a run into the window and marks it, whatever the filter and the choice leave out.
  find(run) {
    const index = this.rows.findIndex(([id]) => id === run);
    if (index < 0) return;
    if (!this.order().includes(index)) this.everything();
    const place = this.order().indexOf(index);
    this.found = run;
    this.shown = Math.max(this.shown, Math.ceil((place + 1) / RunTable.PAGE) * RunTable.PAGE);
    this.draw();
    const line = this.body.rows[place];
    line.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  order() {
    const { column, descending } = this.sort;
    if (this.words.length && !this.texts) {
      this.texts = this.rows.map((row) => row.map((cell) => (cell === null ? "" : String(cell))).join("\n").toLowerCase());
    }
    const found = this.rows.map((_, index) => index).filter(
      (index) =>
        (this.chosen === null || this.chosen.has(index)) && this.words.every((word) => this.texts[index].includes(word)),
    );
    const sign = descending ? -1 : 1;
    const cells = this.rows.map((row) => row[column]); // side by side, which makes the sort of very many three times as fast
    return found.sort((one, other) => RunTable.compare(cells[one], cells[other], sign) || one - other);
  }

  // Numbers before texts; what is missing comes last in either direction.
  static compare(one, other, sign) {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
    return sign * (typeof one === "number" ? one - other : RunTable.COLLATOR.compare(one, other));
  }

  draw() {
    const order = this.order();
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    const [run, tag] = focused ? [focused.closest("tr").dataset.run, focused.tagName] : [];
    [...this.head.rows[0].cells].forEach((cell, place) => {
      if (place !== this.sort.column) cell.removeAttribute("aria-sort");
      else cell.setAttribute("aria-sort", this.sort.descending ? "descending" : "ascending");
    });
    this.body.replaceChildren(...order.slice(0, this.shown).map((index) => this.line(this.rows[index])));
    if (focused) {
      const line = [...this.body.rows].find((each) => each.dataset.run === run);
      if (line && line.querySelector(tag)) line.querySelector(tag).focus({ preventScroll: true });
    }
    if (!order.length) this.body.append(this.none());
    const all = this.rows.length;
    document.querySelector("#runs").hidden = !all;
    const shown = Math.min(order.length, this.shown);
    const few = order.length < all ? `${order.length.toLocaleString("en")} of ${all.toLocaleString("en")} runs` : `${all.toLocaleString("en")} ${all === 1 ? "run" : "runs"}`;
    document.querySelector("#count").textContent = shown < order.length ? `${few}, the first ${shown.toLocaleString("en")} shown` : few;
    document.querySelector("#more").hidden = shown === order.length;
  }

  // The only line of a table in which no run is left: why, and the way back.
  none() {
    const line = make("tr", "none");
    const cell = line.appendChild(make("td"));
    cell.colSpan = this.columns.length;
    const words = this.words.length ? `has ${this.words.map((word) => `“${word}”`).join(" and ")}` : "is chosen";
    cell.append(this.chosen === null ? `No run ${words}. ` : `None of the ${this.chosen.size.toLocaleString("en")} chosen runs ${words}. `);
    const button = cell.appendChild(make("button", "", "Show all runs"));
    button.type = "button";
    button.addEventListener("click", () => {
      this.everything();
      document.querySelector("#filter").focus();
    });
    return line;
  }

  // Drops the filter and the choice.
  everything() {
    document.querySelector("#filter").value = "";
    this.words = [];
    if (this.chosen !== null) unbrush();
    this.chosen = null;
    this.draw();
  }

  line(row) {
    const line = document.createElement("tr");
    line.dataset.run = row[0];
    line.classList.toggle("best", row[0] === this.bestId);
    line.classList.toggle("found", row[0] === this.found);
    row.forEach((value, place) => {
      const kind = this.columns[place].kind;
      const cell = document.createElement(place === 0 ? "th" : "td");
      if (place === 0) cell.append(this.tick(value), this.opener(value));
      else cell.textContent = RunTable.text(value, kind);
      if (place === 1) {
        cell.className = "state";
        cell.style.setProperty("--dot", this.states[value] || "gray");
      }
      if (typeof value === "string" && value.length > 30) cell.title = value;
      cell.classList.toggle("right", place > 0 && (typeof value === "number" || (value === null && this.hasNumbers(place))));
      line.append(cell);
    });
    return line;
  }

  // Whether a column has only numbers, so that a missing value and the heading go to the right too.
  hasNumbers(place) {
    const found = this.rows.find((row) => row[place] !== null);
    return found !== undefined && typeof found[place] === "number";
  }

  // The tick box by which a run is compared with others; compare.js listens.
  tick(run) {
    const made = document.createElement("input");
    made.type = "checkbox";
    made.checked = this.ticked.has(run);
    made.setAttribute("aria-label", `Compare run ${run}`);
    return made;
  }

  // The button that shows a run's details; details.js listens.
  opener(run) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "opener";
    made.textContent = run;
    made.title = "Show the details of this run";
    return made;
  }

  static text(value, kind) {
    if (value === null) return "–";
    if (typeof value !== "number") return value;
    if (kind === "duration") return duration(value);
    if (Number.isInteger(value)) return String(value);
    const size = Math.abs(value);
    return size < 1e-4 || size >= 1e6 ? value.toExponential(3).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(5)));
  }
}
RunTable.PAGE = 100;
RunTable.RIGHT = new Set(["number", "duration"]);
RunTable.COLLATOR = new Intl.Collator("en", { numeric: true });

function duration(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${(minutes / 1440).toFixed(1)} days`;
}
