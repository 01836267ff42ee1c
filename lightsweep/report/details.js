"use strict";

// Shows all that is known of a run when its id, or one of its points, is clicked. All text of users goes through
// textContent. In a page that is a file the facts are in the page; a live page asks its server.
const said = (error) => (error.message || "").trim() || "The run cannot be shown.";

function closer(dialog) {
  const made = make("button", "", "Close");
  made.type = "button";
  made.addEventListener("click", () => dialog.close());
  return made;
}

// The curves of a run that a page without a server has.
function curvesOnPage(id) {
  const found = {};
  const metric = data.headline.metric && data.headline.metric.replace(/^\S+ /, "");
  const figure = data.figures.find(({ name }) => name === "curves");
  for (const trace of figure ? figure.data : []) {
    if (!metric || !trace.meta || !trace.meta.runs || !(trace.mode || "").includes("lines")) continue;
    const places = trace.customdata.map((owner, place) => (owner === id && trace.x[place] !== null ? place : -1)).filter((place) => place >= 0);
    if (places.length) found[`${metric}, by iteration`] = [places.map((place) => trace.x[place]), places.map((place) => trace.y[place])];
  }
  if (data.logged) {
    const run = data.logged.runs.find(({ row }) => data.rows[row][0] === id);
    for (const [place, steps, values] of run ? run.curves : []) found[data.logged.names[place].name] = [steps, values];
  }
  return found;
}

let known = null; // the runs' facts of such a page, read when they are first asked for

// All that is known of a run; rejected with a sentence if the server cannot tell.
async function runFacts(id) {
  if (data.live) return ask(`run/${encodeURIComponent(id)}`);
  known = known || JSON.parse(document.querySelector("#known").textContent);
  const facts = known[id];
  if (!facts) throw new Error(`This page has no details of run ${id}, since the sweep has very many runs: lightsweep show ${data.headline.id} ${id}`);
  const media = data.media.find(({ run }) => run === id);
  return { ...facts, curves: curvesOnPage(id), media: media ? media.items : [] };
}

class RunDetails {
  constructor() {
    this.dialog = document.querySelector("#details");
    this.id = null;
    this.dialog.addEventListener("close", () => this.left());
    this.dialog.addEventListener("click", ({ target }) => {
      if (target === this.dialog) this.dialog.close(); // beside it
    });
    document.querySelector("#runs tbody").addEventListener("click", ({ target }) => {
      if (target.matches("button.opener")) this.open(target.closest("tr").dataset.run);
    });
  }

  async open(id) {
    this.id = id;
    this.last = new Map(); // part -> its content as text
    if (this.curves) this.curves.forget();
    forget(this.dialog);
    this.title = make("h2");
    this.title.id = "details-title";
    const step = (text, by) => {
      const made = make("button", "", text);
      made.type = "button";
      made.dataset.by = by;
      const ids = table.order().map((row) => data.rows[row][0]);
      const next = ids[ids.indexOf(id) + by];
      made.disabled = !ids.includes(id) || !next;
      made.addEventListener("click", async () => {
        await this.open(next);
        const again = this.dialog.querySelector(`[data-by="${by}"]`);
        if (again && !again.disabled) again.focus();
      });
      return made;
    };
    const bar = make("div", "bar");
    const buttons = make("span");
    buttons.append(closer(this.dialog), step("Previous", -1), step("Next", 1));
    bar.append(this.title, buttons);
    this.parts = Object.fromEntries(["trouble", "facts", "parameters", "numbers", "curves", "log", "media"].map((name) => [name, make("div")]));
    this.dialog.replaceChildren(bar, ...Object.values(this.parts));
    this.parts.curves.append(make("h3", "", "Curves"));
    this.parts.curves.hidden = true;
    this.curves = null;
    this.title.textContent = `Run ${id}`;
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    this.part("trouble", "waiting", () => [make("p", "note", "Waiting for an answer …")]);
    await this.refresh();
  }

  // Shows the run as it is now; parts that have not changed stay as they are.
  async refresh() {
    const { id } = this;
    if (!this.dialog.open || id === null) return;
    let run = null;
    let trouble = "";
    try {
      run = await runFacts(id);
    } catch (error) {
      trouble = said(error);
    }
    if (this.id !== id || !this.dialog.open) return; // another one was opened meanwhile
    this.part("trouble", trouble, () => (trouble ? [make("p", "note", trouble)] : []));
    if (!run) return;
    this.part("facts", run.facts, () => {
      const list = make("dl");
      // Files of this machine: only a page that is a file itself may link to them.
      const links = window.location.protocol === "file:" ? run.files : [];
      run.facts.forEach(([name, text]) => list.append(make("dt", "", name), make("dd", "", text)));
      const line = make("p", "note files");
      for (const [name, address] of links) line.append(Object.assign(make("a", "", `Open ${name}`), { href: address }), " ");
      return links.length ? [list, line] : [list];
    });
    this.part("parameters", [run.parameters, run.unread], () => {
      const rows = run.parameters.map(([name, text]) => tableRow("td", [name, run.unread.includes(name) ? `${text} (never read by the script)` : text]));
      return rows.length ? [make("h3", "", "Parameters"), framedTable("Parameters", tableRow("th", ["parameter", "value"]), [rows])] : [];
    });
    this.part("numbers", run.metrics, () => {
      const rows = run.metrics.map(([name, ...numbers]) => tableRow("td", [name, ...numbers.map((one) => RunTable.text(one, "number"))]));
      return rows.length ? [make("h3", "", "Numbers"), framedTable("Numbers", tableRow("th", ["number", "last", "least", "greatest"]), [rows])] : [];
    });
    this.part("log", [run.log, run.logs], () => this.log(run));
    this.part("media", run.media, () => (run.media.length ? [make("h3", "", "Media"), ...run.media.map(mediaItem)] : []));
    if (JSON.stringify(run.curves) !== this.last.get("curves")) {
      this.last.set("curves", JSON.stringify(run.curves));
      this.curves = this.curves || new RunCurves(this.parts.curves, "details-curves");
      this.curves.show([run]);
    }
  }

  part(name, content, fill) {
    const text = JSON.stringify(content);
    if (this.last.get(name) === text) return;
    this.last.set(name, text);
    forget(this.parts[name]);
    this.parts[name].replaceChildren(...fill());
  }

  // The end of the output. It stays where the reader has scrolled to, and follows the output at its end.
  log(run) {
    const before = this.parts.log.querySelector("pre");
    const follows = !before || before.scrollTop + before.clientHeight >= before.scrollHeight - 8;
    const top = before ? before.scrollTop : 0;
    const command = make("p", "note", "All of it: ");
    command.append(make("code", "", run.logs));
    if (!run.log) {
      command.firstChild.textContent = "On the machine of the run: ";
      return [make("h3", "", "Output"), command];
    }
    const shown = make("pre", "log", run.log.join("\n") || "Nothing yet.");
    shown.tabIndex = 0;
    shown.setAttribute("aria-label", "The end of the output");
    shown.setAttribute("role", "region");
    requestAnimationFrame(() => (shown.scrollTop = follows ? shown.scrollHeight : top));
    return [make("h3", "", "End of the output"), shown, command];
  }

  left() {
    if (this.dialog.open) return; // opened for another run before this was told
    forget(this.dialog);
    this.dialog.replaceChildren();
    const { id } = this;
    this.id = null;
    this.curves = null;
    const line = [...table.body.rows].find((each) => each.dataset.run === id);
    if (line && document.activeElement === document.body) line.querySelector("button.opener").focus({ preventScroll: true });
  }
}

const details = new RunDetails();
