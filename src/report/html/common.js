"use strict";
// What the pages have in common. Everything that comes from outside is put into a page as text: by textContent, never as
// markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const make = (tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
};
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const time = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  return `${seconds.toFixed(2)} s`;
};
const number = (value) => value.toLocaleString("en");
// Names and their values.
const tell = (id, facts) => {
  for (const [name, value] of facts) {
    const fact = make("div");
    fact.append(make("dt", name), make("dd", value));
    at(id).append(fact);
  }
};
// What is called when the page has another size or other colours.
const anew = (draw) => {
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
};

// The table of a chart: its columns, and a function that gives its rows when they are asked for, so many a page.
const table = (columns, numbers, lines, caption) => {
  const made = make("table");
  made.append(make("caption", caption, "visually-hidden"));
  const head = make("tr");
  columns.forEach((name, place) => {
    const cell = make("th", name, numbers.includes(place) ? "number" : "");
    cell.scope = "col";
    head.append(cell);
  });
  made.append(make("thead"));
  made.tHead.append(head);
  const body = make("tbody");
  for (const line of lines) {
    const row = make("tr");
    line.forEach((text, place) => row.append(make("td", text, numbers.includes(place) ? "number" : "")));
    body.append(row);
  }
  made.append(body);
  return made;
};
const PAGE = 200;
const pages = (details, columns, numbers, count, line, caption) => {
  let first = 0;
  const place = make("div", undefined, "scroll");
  place.tabIndex = 0;
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", `${caption}: table`);
  const told = make("p");
  told.setAttribute("role", "status");
  const back = make("button", "Previous");
  const on = make("button", "Next");
  const draw = () => {
    const last = Math.min(first + PAGE, count());
    const lines = Array.from({ length: last - first }, (_, step) => line(first + step));
    place.replaceChildren(table(columns, numbers, lines, caption));
    place.scrollTop = 0;
    told.textContent = `${number(Math.min(first + 1, last))} to ${number(last)} of ${number(count())}`;
    back.disabled = first === 0;
    on.disabled = last === count();
  };
  back.onclick = () => { first = Math.max(0, first - PAGE); draw(); };
  on.onclick = () => { first += PAGE; draw(); };
  const buttons = make("p", undefined, "choices");
  buttons.append(back, on, told);
  details.append(buttons, place);
  details.addEventListener("toggle", () => { if (details.open) draw(); });
  return () => { first = 0; if (details.open) draw(); };
};

// Charts by their places, each with its height.
const charts = new Map();
const refit = () => charts.forEach(([drawn, height], place) => drawn.setSize({ width: place.clientWidth, height }));
const axis = (label, more) => Object.assign({
  label,
  stroke: () => colour("--ink"),
  grid: { stroke: () => colour("--rule"), width: 1 },
  ticks: { stroke: () => colour("--rule"), width: 1 },
}, more);
const chart = (id, options, values) => {
  const place = at(id);
  if (values[0].length === 0) {
    place.textContent = "No request was made.";
    place.classList.remove("chart");
    return;
  }
  const whole = Object.assign({
    width: place.clientWidth, height: 220, legend: { show: false }, cursor: { show: false },
  }, options);
  place.replaceChildren();
  charts.set(place, [new uPlot(whole, values, place), whole.height]);
};
const line = (more) => Object.assign({
  stroke: () => colour("--line"), fill: () => colour("--fill"), width: 1.5, points: { show: false },
}, more);
