"use strict";

// Follows the sweep, if a server has sent the page: asks it for what has changed, and puts that into place. The filter,
// the choice of runs, the zoom of figures, the focus and the places scrolled to stay.
const EVERY = 2000; // milliseconds between two questions
const token = new URLSearchParams(window.location.search).get("token") || "";

async function ask(path) {
  let answer;
  try {
    answer = await fetch(path, { headers: { Authorization: `Bearer ${token}` }, cache: "no-store" });
  } catch {
    throw Object.assign(new Error("The server is gone."), { status: 0 });
  }
  if (!answer.ok) throw Object.assign(new Error(await answer.text()), { status: answer.status });
  return answer.json();
}

class Live {
  constructor(version) {
    this.version = version;
    this.home = document.querySelector("#live");
    this.home.hidden = false;
    this.read = Date.now(); // when the server last read the storage, by this clock
    this.held = false; // a mouse button or a finger is down, such as in the middle of a brush
    this.timer = null;
    this.asking = false;
    const hold = (value) => () => (this.held = value);
    window.addEventListener("pointerdown", hold(true), true);
    for (const name of ["pointerup", "pointercancel", "blur"]) window.addEventListener(name, hold(false), true);
    // Let go outside of the window, or in the list of a chooser.
    window.addEventListener("pointermove", ({ buttons }) => buttons || (this.held = false), true);
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
    setInterval(() => this.tell(), 1000);
    this.say("live");
    this.timer = setTimeout(() => this.look(), EVERY);
  }

  async look() {
    if (this.asking) return;
    clearTimeout(this.timer);
    if (!document.hidden && !this.held) {
      this.asking = true;
      try {
        const news = await ask(`news?since=${this.version}`);
        // Not in the middle of a brush: the next answer has it too.
        if (!this.held) {
          this.apply(news);
          await details.refresh();
        }
        if (!news.trouble) this.read = Date.now() - 1000 * news.age;
        this.say(news.trouble || "live", Boolean(news.trouble));
      } catch (error) {
        if (error.status === undefined) throw error; // a bug of this page
        this.say(error.status === 403 ? "the server was started anew: open the address that it has printed" : "the server is gone", true);
      } finally {
        this.asking = false;
        this.timer = setTimeout(() => this.look(), EVERY);
      }
      return;
    }
    this.timer = setTimeout(() => this.look(), EVERY);
  }

  apply(news) {
    const names = Object.keys(news.changed);
    const byName = new Map(data.figures.map((figure) => [figure.name, figure]));
    const changed = new Set();
    let rows = data.rows.length !== news.rows;
    for (const [name, value] of Object.entries(news.changed)) {
      const [kind, of] = name.split(":");
      if (kind === "row" && of !== undefined) {
        data.rows[Number(of)] = value;
        rows = true;
      } else if (kind === "figure" && of !== undefined) {
        byName.set(of, value);
        changed.add(of);
      } else data[name] = value;
    }
    data.rows.length = news.rows;
    data.figures = news.figures.map((name) => byName.get(name));
    if (names.includes("headline")) headline();
    if (names.includes("stages")) stages();
    if (rows || names.includes("columns")) table.update(data.columns, data.rows, data.headline.best && data.headline.best.run);
    if (choice.shown !== null) changed.delete("curves"); // the chooser draws another number there
    if (names.length) {
      figures(changed);
      curveChooser();
    }
    if (names.includes("parts")) parts();
    if (names.includes("media")) media();
    if (names.length) comparison.refresh();
    this.version = news.version; // last: whatever goes wrong before, the next answer has all of it again
  }

  say(text, gone = false) {
    const sign = this.home.querySelector(".sign");
    this.home.classList.toggle("gone", gone);
    if (sign.textContent !== text) sign.textContent = text;
    this.tell();
  }

  // The age is no part of the status, so that screen readers do not say it each second.
  tell() {
    const seconds = Math.max(0, Math.round((Date.now() - this.read) / 1000));
    this.home.querySelector(".age").textContent = `· updated ${seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`} ago`;
  }
}

const live = data.live ? new Live(data.live.version) : null;
