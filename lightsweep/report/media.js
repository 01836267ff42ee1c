"use strict";

// Shows the images, tables and charts of the best runs. All of their text goes through textContent; figures.js draws.
function mediaItem(item) {
  const block = make("div", "medium");
  block.append(make("h3", "", item.name), make("p", "note", `${item.kind}, step ${item.step.toLocaleString("en")}`));
  if (item.images) {
    const row = make("div", "images");
    for (const { source, caption } of item.images) {
      const figure = make("figure");
      const image = make("img");
      image.src = source;
      image.alt = caption || item.name;
      image.loading = "lazy";
      figure.append(image);
      if (caption) figure.append(make("figcaption", "note", caption));
      row.append(figure);
    }
    block.append(row);
    if (item.more > 0) block.append(make("p", "note", `and ${item.more.toLocaleString("en")} more in the run's directory`));
  } else if (item.figure) {
    const frame = make("div", "figure");
    const element = frame.appendChild(make("div"));
    element.id = `figure-${item.figure.name}`;
    element.style.height = `${item.figure.layout.height}px`;
    wait(element, item.figure);
    block.append(frame);
  } else if (item.columns) {
    const scroll = make("div", "scroll");
    scroll.tabIndex = 0;
    const shown = scroll.appendChild(make("table"));
    const row = (tag, cells) => {
      const made = make("tr");
      made.append(...cells.map((cell) => make(tag, "", cell)));
      return made;
    };
    shown.appendChild(make("thead")).append(row("th", item.columns));
    shown.appendChild(make("tbody")).append(...item.rows.map((cells) => row("td", cells)));
    block.append(scroll);
    if (item.count > item.rows.length) {
      block.append(make("p", "note", `the first ${item.rows.length} of ${item.count.toLocaleString("en")} rows; the run's directory has all`));
    }
  } else {
    block.append(make("p", "note", item.file));
  }
  return block;
}

function media() {
  const section = document.querySelector("#media");
  const before = [...section.querySelectorAll("details")];
  const open = before.filter((each) => each.open).map((each) => each.dataset.run);
  forget(section);
  before.forEach((each) => each.remove());
  section.hidden = !data.media.length;
  for (const { run, items } of data.media) {
    const details = section.appendChild(make("details"));
    details.dataset.run = run;
    details.open = before.length ? open.includes(run) : run === data.media[0].run;
    details.append(make("summary", "", `run ${run}`), ...items.map(mediaItem));
  }
}

media();
