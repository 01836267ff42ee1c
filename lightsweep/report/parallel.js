"use strict";

// The parallel coordinates: a line for each run over axes side by side or, without room for that, one below the other.
// Ranges on the axes choose runs, by dragging or by keyboard. Lines are on canvases, in slices of time, so that the page
// answers meanwhile; axes and their texts are above them.
class Parallel {
  constructor(element, figure, chosen) {
    this.element = element;
    this.chosen = chosen; // called with the set of rows that pass every range; null: all of them
    this.kept = new Map(); // name of an axis -> its ranges
    this.hovered = null; // the place of a line
    this.drag = null;
    element.classList.add("parallel");
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", "Parallel coordinates");
    this.layers = ["back", "front", "top"].map(() => element.appendChild(make("canvas")));
    this.layers.forEach((canvas) => canvas.setAttribute("aria-hidden", "true"));
    this.svg = element.appendChild(Parallel.node("svg", { "aria-hidden": "true" }));
    this.buttons = element.appendChild(make("div", "axes"));
    this.svg.addEventListener("pointerdown", (event) => this.press(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerup", (event) => this.release(event));
    this.svg.addEventListener("pointercancel", () => (this.drag = null));
    this.svg.addEventListener("pointerleave", () => this.hover(null));
    this.svg.addEventListener("click", () => this.hovered !== null && find(this.idOf(this.hovered)));
    this.update(figure);
    new ResizeObserver(() => this.element.clientWidth !== this.width && this.redraw(this.printed)).observe(element);
  }

  static node(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // Takes the lines of a figure; ranges stay, and the order of the axes if they are the same.
  update(figure) {
    const trace = figure.data[0];
    this.line = trace.line;
    this.rows = trace.meta.runs;
    this.best = trace.meta.best;
    const before = this.axes || [];
    this.axes = trace.meta.axes.map((axis, place) => {
      const { values, range } = trace.dimensions[place];
      return { ...axis, values, low: range[0], high: range[1], ranges: this.kept.get(axis.name) || [] };
    });
    const names = (axes) => axes.map(({ name }) => name);
    if (names(before).sort().join("\n") === names(this.axes).sort().join("\n")) {
      const order = names(before);
      this.axes.sort((one, two) => order.indexOf(one.name) - order.indexOf(two.name));
    }
    this.colours = []; // of the lines that were drawn
    this.ranked = this.rows.map((_, place) => place);
    if (Array.isArray(this.line.color)) {
      const sign = this.line.reversescale ? -1 : 1;
      this.ranked.sort((one, two) => sign * (this.line.color[one] - this.line.color[two]));
    }
    this.everything = this.thin(this.ranked);
    this.redraw();
  }

  // At most MOST_LINES of the places, given best first: the best and an even choice of the others.
  thin(places) {
    if (places.length <= MOST_LINES) return places;
    const rest = places.slice(BEST_LINES);
    const step = rest.length / (MOST_LINES - BEST_LINES);
    return [...places.slice(0, BEST_LINES), ...Array.from({ length: MOST_LINES - BEST_LINES }, (_, place) => rest[Math.floor(place * step)])];
  }

  static hex(text) {
    return [1, 3, 5].map((place) => parseInt(text.slice(place, place + 2), 16)).join(",");
  }

  colour(value) {
    const { cmin, cmax, reversescale, colorscale } = this.line;
    const share = Math.min(1, Math.max(0, (value - cmin) / (cmax - cmin)));
    const at = reversescale ? 1 - share : share;
    const next = Math.max(1, colorscale.findIndex(([stop]) => stop >= at));
    const [[low, from], [high, to]] = [colorscale[next - 1], colorscale[next]];
    const parts = [from, to].map((text) => Parallel.hex(text).split(",").map(Number));
    return parts[0].map((part, place) => Math.round(part + ((parts[1][place] - part) * (at - low)) / (high - low))).join(",");
  }

  tint(place) {
    const { color } = this.line;
    if (!this.colours[place]) this.colours[place] = Array.isArray(color) ? this.colour(color[place]) : Parallel.hex(color);
    return this.colours[place];
  }

  idOf(place) {
    return data.rows[this.rows[place]][0];
  }

  // --- places on the page

  place() {
    this.width = this.element.clientWidth;
    const count = this.axes.length;
    this.stacked = this.width < AXIS_WIDTH * count;
    this.element.classList.toggle("stacked", this.stacked);
    const texts = this.axes[0].ticks.map(([, text]) => text.length);
    this.left = this.stacked ? 14 : Math.max(56, 18 + 6.5 * Math.max(0, ...texts));
    this.right = this.stacked ? 14 : 60;
    this.height = this.stacked ? STACKED_TOP + STACKED_STEP * (count - 1) + 36 : 400;
    this.element.style.height = `${this.height}px`;
    const room = this.width - this.left - this.right;
    this.axes.forEach((axis, place) => {
      axis.at = this.stacked ? STACKED_TOP + STACKED_STEP * place : this.left + (count > 1 ? (room * place) / (count - 1) : room / 2);
    });
    this.gap = this.stacked ? STACKED_STEP : room / Math.max(1, count - 1);
    [this.start, this.end] = this.stacked ? [this.left, this.width - this.right] : [this.height - 18, 72];
  }

  // Along an axis: the pixel of a value, and the value at a pixel.
  pixel(axis, value) {
    return this.start + ((value - axis.low) / (axis.high - axis.low)) * (this.end - this.start);
  }

  value(axis, pixel) {
    const share = (pixel - this.start) / (this.end - this.start);
    return axis.low + Math.min(1, Math.max(0, share)) * (axis.high - axis.low);
  }

  point(axis, pixel) {
    return this.stacked ? [pixel, axis.at] : [axis.at, pixel];
  }

  // --- drawing

  // Draws everything anew; for the printer the lines are paths, since it would leave out what is on a canvas.
  redraw(printed = false) {
    this.printed = printed;
    this.place();
    const scale = Math.min(2, window.devicePixelRatio || 1);
    for (const canvas of this.layers) {
      canvas.width = this.width * scale;
      canvas.height = this.height * scale;
      canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    }
    this.svg.setAttribute("width", this.width);
    this.svg.setAttribute("height", this.height);
    this.narrow(true);
    this.frame();
  }

  // The places of the lines that pass every range, the best first; null without a range.
  passing() {
    const ranged = this.axes.filter((axis) => axis.ranges.length);
    if (!ranged.length) return null;
    return this.ranked.filter((place) => ranged.every(({ values, ranges }) => ranges.some(([low, high]) => low <= values[place] && values[place] <= high)));
  }

  narrow(anew = false) {
    const passing = this.passing();
    const was = this.passed;
    this.passed = passing;
    this.shown = passing === null ? this.everything : this.thin(passing);
    const [back, front] = this.layers;
    if (anew || (was === null) !== (passing === null)) this.lines(back, this.everything, passing !== null);
    this.lines(front, passing === null ? [] : this.shown);
    this.lift();
  }

  // Draws lines, the best last, in slices of a few milliseconds; a later call for the same canvas ends an earlier one.
  lines(canvas, places, grey = false) {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    const task = (canvas.task = {});
    const alpha = this.opacity(places, grey);
    let left = (canvas.left = this.printed ? 0 : places.length);
    const slice = () => {
      if (canvas.task !== task) return;
      const until = performance.now() + SLICE;
      context.lineWidth = 1.1;
      while (left > 0 && performance.now() < until) {
        for (let count = 0; count < 20 && left > 0; count += 1) {
          left -= 1;
          context.strokeStyle = `rgba(${grey ? GREY : this.tint(places[left])},${alpha})`;
          this.trace(context, places[left]);
        }
      }
      canvas.left = left;
      if (left > 0) requestAnimationFrame(slice);
    };
    slice();
  }

  // Whether lines are still to be drawn.
  get busy() {
    return this.layers.some(({ left }) => left > 0);
  }

  opacity(places, grey) {
    if (grey) return 0.1;
    return places.length > 600 ? 0.35 : places.length > 120 ? 0.5 : 0.75;
  }

  corners(place) {
    return this.axes.map((axis) => this.point(axis, this.pixel(axis, axis.values[place])));
  }

  trace(context, place) {
    context.beginPath();
    this.corners(place).forEach((corner) => context.lineTo(...corner));
    context.stroke();
  }

  // The lines as elements, for the printer.
  paths() {
    const path = (place, attributes) => Parallel.node("path", { d: `M${this.corners(place).map((corner) => corner.map((part) => part.toFixed(1))).join("L")}`, fill: "none", ...attributes });
    const opacity = this.opacity(this.shown);
    const made = [...this.shown].reverse().map((place) => path(place, { stroke: `rgb(${this.tint(place)})`, opacity }));
    if (this.shows(this.best)) made.push(path(this.best, { stroke: getComputedStyle(this.element).getPropertyValue("--accent"), "stroke-width": 3 }));
    return made;
  }

  // Whether the line of a run is among those that pass the ranges.
  shows(place) {
    return place !== null && place !== undefined && (this.passed === null || this.passed.includes(place));
  }

  // The best run and the line below the pointer, above all others.
  lift() {
    const canvas = this.layers[2];
    const context = canvas.getContext("2d");
    const style = getComputedStyle(this.element);
    context.clearRect(0, 0, this.width, this.height);
    context.lineJoin = "round";
    const draw = (place, colour, width) => {
      for (const [stroke, wide] of [[style.getPropertyValue("--card"), width + 3], [colour, width]]) {
        context.strokeStyle = stroke;
        context.lineWidth = wide;
        this.trace(context, place);
      }
    };
    if (this.printed) return;
    if (this.shows(this.best)) draw(this.best, style.getPropertyValue("--accent"), 3);
    if (this.hovered !== null) draw(this.hovered, style.getPropertyValue("--ink"), 2.5);
  }

  // The axes with their texts and ranges, and a button for each name.
  frame() {
    this.svg.replaceChildren(...(this.printed ? this.paths() : []), ...this.axes.flatMap((axis) => this.axisNodes(axis)));
    const focused = [...this.buttons.children].indexOf(document.activeElement);
    const name = focused < 0 ? null : this.buttons.children[focused].dataset.axis;
    this.buttons.replaceChildren(...this.axes.map((axis) => this.button(axis)));
    const again = [...this.buttons.children].find((each) => each.dataset.axis === name);
    if (again) again.focus({ preventScroll: true });
  }

  axisNodes(axis) {
    const { node } = Parallel;
    const made = [];
    const line = (from, to, attributes) => {
      const [[x1, y1], [x2, y2]] = [this.point(axis, from), this.point(axis, to)];
      return node("line", { x1, y1, x2, y2, ...attributes });
    };
    if (axis.metric && Array.isArray(this.line.color)) {
      // The colours of the lines, along the values that they stand for.
      const steps = 48;
      for (let step = 0; step < steps; step += 1) {
        const at = (part) => this.start + (part / steps) * (this.end - this.start);
        const value = this.value(axis, at(step + 0.5));
        const colour = this.colour(axis.kind === "log" ? 10 ** value : value);
        made.push(line(at(step), at(Math.min(steps, step + 1.2)), { stroke: `rgb(${colour})`, "stroke-width": 8, class: "colour" }));
      }
    } else {
      made.push(line(this.start, this.end, { class: "domain" }));
    }
    let last = -Infinity;
    for (const [value, text] of axis.ticks) {
      const pixel = this.pixel(axis, value);
      const size = this.stacked ? 6.4 * text.length + 10 : 15;
      if (Math.abs(pixel - last) < size) continue;
      last = pixel;
      const [x, y] = this.point(axis, pixel);
      const wide = 6.4 * text.length + 4;
      const place = this.stacked
        ? { x: Math.min(this.width - wide / 2, Math.max(wide / 2, x)), y: y + 19, "text-anchor": "middle" }
        : { x: x - 9, y: y + 4, "text-anchor": "end" };
      const left = this.stacked ? place.x - wide / 2 : place.x - wide + 2;
      made.push(node("rect", { x: left, y: place.y - 11, width: wide, height: 14, rx: 3, class: "plate" }));
      made.push(node("text", place, text));
    }
    for (const [low, high] of axis.ranges) {
      const [from, to] = [this.pixel(axis, low), this.pixel(axis, high)].sort((one, two) => one - two);
      const [x, y] = this.point(axis, from);
      made.push(
        this.stacked
          ? node("rect", { x, y: y - 7, width: Math.max(2, to - from), height: 14, class: "range" })
          : node("rect", { x: x - 7, y, width: 14, height: Math.max(2, to - from), class: "range" }),
      );
    }
    const [x, y] = this.point(axis, Math.min(this.start, this.end));
    const length = Math.abs(this.end - this.start);
    const hit = this.stacked
      ? { x: x - 10, y: y - HIT, width: length + 20, height: 2 * HIT }
      : { x: x - HIT, y: y - 10, width: 2 * HIT, height: length + 20 };
    made.push(node("rect", { ...hit, class: "hit" }));
    return made;
  }

  button(axis) {
    const made = make("button", axis.metric ? "metric" : "");
    made.type = "button";
    made.dataset.axis = axis.name;
    const name = made.appendChild(make("span"));
    // Long names are broken after a dot or an underscore, if they can be.
    axis.name.split(/(?<=[._])/).forEach((part, place) => name.append(...(place ? [make("wbr"), part] : [part])));
    if (axis.unread) made.append(make("i", "", "never read"));
    made.title = axis.unread ? `${axis.name}: no run read it` : axis.name;
    made.setAttribute("aria-label", this.described(axis));
    made.setAttribute("aria-describedby", "parallel-help");
    const style = made.style;
    if (this.stacked) Object.assign(style, { left: `${this.left - 4}px`, top: `${axis.at - 34}px`, maxWidth: `${this.width - 2 * this.left}px` });
    else {
      const wide = Math.min(this.gap - 8, 180);
      const left = Math.min(this.width - wide, Math.max(0, axis.at - wide / 2));
      Object.assign(style, { left: `${left}px`, bottom: `${this.height - 62}px`, width: `${wide}px` });
    }
    made.addEventListener("keydown", (event) => this.key(event, axis));
    made.addEventListener("pointerdown", (event) => this.grasp(event, axis, made));
    return made;
  }

  described(axis) {
    const doubt = axis.unread ? ", never read" : "";
    if (!axis.ranges.length) return `${axis.name}${doubt}: all values`;
    const texts = axis.ranges.map(([low, high]) => `${this.text(axis, low, 1)} to ${this.text(axis, high, -1)}`);
    return `${axis.name}${doubt}: ${texts.join(" and ")}`;
  }

  // A value of an axis as text; of choices the next one towards the middle of the range.
  text(axis, value, towards) {
    if (axis.kind === "log") return RunTable.text(10 ** value, "number");
    if (axis.kind === "linear") return RunTable.text(value, "number");
    const place = towards > 0 ? Math.ceil(value) : Math.floor(value);
    const run = axis.values.findIndex((each) => each === place);
    const column = data.columns.findIndex(({ name, kind }) => kind === "value" && name === axis.name);
    const tick = axis.ticks.find(([at]) => at === place);
    return run >= 0 && column >= 0 ? RunTable.text(data.rows[this.rows[run]][column], "value") : tick ? tick[1] : String(place);
  }

  // --- ranges

  // Where ranges that are made by keyboard begin and end.
  stops(axis) {
    if (axis.kind !== "ordinal") return Array.from({ length: 21 }, (_, step) => axis.low + (step / 20) * (axis.high - axis.low));
    const between = [];
    for (let place = Math.ceil(axis.low); place < Math.floor(axis.high); place += 1) between.push(place + 0.5);
    return [axis.low, ...between, axis.high];
  }

  key(event, axis) {
    const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
    if (event.altKey && step) {
      this.shift(axis, this.axes.indexOf(axis) + step);
    } else if (step) {
      const stops = this.stops(axis);
      const nearest = (value) => stops.reduce((found, stop, place) => (Math.abs(stop - value) < Math.abs(stops[found] - value) ? place : found), 0);
      const range = axis.ranges.length ? [axis.ranges[0][0], axis.ranges[axis.ranges.length - 1][1]] : [axis.low, axis.high];
      const ends = range.map(nearest);
      ends[event.shiftKey ? 1 : 0] += step;
      if (ends[0] < 0 || ends[1] >= stops.length || ends[0] >= ends[1]) return event.preventDefault();
      this.range(axis, ends[0] === 0 && ends[1] === stops.length - 1 ? [] : [[stops[ends[0]], stops[ends[1]]]]);
    } else if (["Delete", "Backspace", "Escape"].includes(event.key)) {
      this.range(axis, []);
    } else return undefined;
    return event.preventDefault();
  }

  range(axis, ranges) {
    axis.ranges = ranges;
    this.kept.set(axis.name, ranges);
    this.narrow();
    this.frame();
    this.chosen(this.rowsLeft());
  }

  rowsLeft() {
    return this.passed === null ? null : new Set(this.passed.map((place) => this.rows[place]));
  }

  clear() {
    for (const axis of this.axes) axis.ranges = [];
    this.kept.clear();
    this.narrow();
    this.frame();
    this.chosen(null);
  }

  shift(axis, place) {
    const others = this.axes.filter((each) => each !== axis);
    others.splice(Math.min(others.length, Math.max(0, place)), 0, axis);
    this.axes = others;
    this.redraw();
  }

  // --- the pointer

  locate(event) {
    const box = this.svg.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    return this.stacked ? { along: at[0], across: at[1] } : { along: at[1], across: at[0] };
  }

  axisAt({ across, along }) {
    const [low, high] = [this.start, this.end].sort((one, two) => one - two);
    if (along < low - 10 || along > high + 10) return undefined;
    return this.axes.find((axis) => Math.abs(axis.at - across) <= HIT);
  }

  press(event) {
    const where = this.locate(event);
    const axis = this.axisAt(where);
    if (!axis || event.button > 0) return;
    event.preventDefault();
    this.hover(null);
    this.svg.setPointerCapture(event.pointerId);
    const value = this.value(axis, where.along);
    const reach = 7 * Math.abs((axis.high - axis.low) / (this.end - this.start));
    const end = axis.ranges.findIndex((range) => range.some((each) => Math.abs(each - value) <= reach));
    const inside = axis.ranges.findIndex(([low, high]) => low <= value && value <= high);
    const others = (place) => axis.ranges.filter((_, each) => each !== place);
    if (end >= 0) {
      const [low, high] = axis.ranges[end];
      this.drag = { axis, from: Math.abs(low - value) <= reach ? high : low, others: others(end) };
    } else if (inside >= 0) this.drag = { axis, moved: axis.ranges[inside], value, others: others(inside) };
    else this.drag = { axis, from: value, others: axis.ranges };
    this.drag.along = where.along;
    this.drag.far = false;
  }

  move(event) {
    const where = this.locate(event);
    if (!this.drag) {
      this.svg.style.cursor = this.axisAt(where) ? "crosshair" : "";
      return event.pointerType === "touch" || this.axisAt(where) ? this.hover(null) : this.hover(this.nearest(where), event);
    }
    const { axis, from, moved, others, along } = this.drag;
    this.drag.far = this.drag.far || Math.abs(where.along - along) > 3;
    if (!this.drag.far) return undefined;
    const value = this.value(axis, where.along);
    let range = [from, value].sort((one, two) => one - two);
    if (moved) {
      const by = Math.min(axis.high - moved[1], Math.max(axis.low - moved[0], value - this.drag.value));
      range = moved.map((each) => each + by);
    }
    this.drag.ranges = [...others, range];
    // Once a frame, however often the pointer moves.
    if (!this.drag.frame) this.drag.frame = requestAnimationFrame(() => this.dragged());
    return undefined;
  }

  dragged() {
    if (!this.drag) return;
    this.drag.frame = null;
    this.range(this.drag.axis, this.drag.ranges);
  }

  release() {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.frame) cancelAnimationFrame(drag.frame);
    this.range(drag.axis, drag.far ? drag.ranges : []); // a click lets go
  }

  // Drags an axis by its name to another place among the others.
  grasp(event, axis, button) {
    if (this.stacked || event.button > 0) return;
    const from = event.clientX;
    button.setPointerCapture(event.pointerId);
    const move = (next) => (button.style.transform = `translateX(${next.clientX - from}px)`);
    button.addEventListener("pointermove", move);
    button.addEventListener(
      "pointerup",
      (last) => {
        button.removeEventListener("pointermove", move);
        button.style.transform = "";
        const place = this.axes.indexOf(axis) + Math.round((last.clientX - from) / this.gap);
        if (Math.abs(last.clientX - from) > this.gap / 2) this.shift(axis, place);
      },
      { once: true },
    );
  }

  // The place of the line within a few pixels of the pointer, if there is one; the best of several.
  nearest({ along, across }) {
    const second = this.axes.findIndex((axis) => axis.at > across);
    if (second < 1) return null;
    const [one, two] = [this.axes[second - 1], this.axes[second]];
    const share = (across - one.at) / (two.at - one.at);
    let found = null;
    let least = 5;
    for (const place of this.shown) {
      const at = (1 - share) * this.pixel(one, one.values[place]) + share * this.pixel(two, two.values[place]);
      if (Math.abs(at - along) < least) [found, least] = [place, Math.abs(at - along)];
    }
    return found;
  }

  hover(place, event) {
    if (place === null) hideTip();
    else showTip(event, this.rows[place]);
    if (place === this.hovered) return;
    this.hovered = place;
    this.svg.style.cursor = place === null ? "" : "pointer";
    this.lift();
  }
}
const AXIS_WIDTH = 80; // pixels that an axis side by side needs at least
const STACKED_TOP = 40;
const STACKED_STEP = 66;
const HIT = 20; // pixels beside an axis in which the pointer takes it
const MOST_LINES = 1500; // more are one carpet
const BEST_LINES = 500; // of those
const GREY = "128,136,148"; // of lines that no range lets pass
const SLICE = 8; // milliseconds of drawing between two looks at what else is to do
