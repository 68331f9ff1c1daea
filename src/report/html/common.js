"use strict";
// What the pages have in common. Text from outside is put into a page by textContent, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const make = (tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
};
at("no-script").remove();
at("charts").hidden = false;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const number = (value) => value.toLocaleString("en");
// A time in the unit that suits it, to three digits.
const time = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  const [value, unit] = seconds === 0 ? [0, "ms"] : seconds < 1e-3 ? [seconds * 1e6, "µs"] : seconds < 1 ? [seconds * 1e3, "ms"] : [seconds, "s"];
  const text = value < 100 && unit !== "µs" && value > 0 ? value.toFixed(value < 10 ? 2 : 1) : number(Math.round(value));
  return `${text} ${unit}`;
};
// Calls `draw` when the page has another size or other colours.
const onChange = (draw) => {
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
};

// The table of a chart, some rows at a time: its columns, and a function that gives a row when it is shown.
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
  const place = make("div", undefined, "wide scroll");
  place.tabIndex = 0;
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", `${caption}: table`);
  const extent = make("span");
  extent.setAttribute("role", "status");
  const back = make("button", "Previous");
  const on = make("button", "Next");
  const draw = () => {
    const last = Math.min(first + PAGE, count());
    const lines = Array.from({ length: last - first }, (_, step) => line(first + step));
    place.replaceChildren(table(columns, numbers, lines, caption));
    place.scrollTop = 0;
    extent.textContent = `${number(Math.min(first + 1, last))} to ${number(last)} of ${number(count())}`;
    back.disabled = first === 0;
    on.disabled = last === count();
    back.hidden = on.hidden = count() <= PAGE;
    mark(place);
  };
  back.onclick = () => { first = Math.max(0, first - PAGE); draw(); };
  on.onclick = () => { first += PAGE; draw(); };
  const buttons = make("p", undefined, "choices");
  buttons.append(back, on, extent);
  details.append(buttons, place);
  details.addEventListener("toggle", () => { if (details.open) draw(); });
  return () => { first = 0; if (details.open) draw(); };
};

// A note beside tables that are wider than the page: not every browser shows scroll bars.
const mark = (place) => {
  const note = place.previousElementSibling?.classList.contains("more") ? place.previousElementSibling : null;
  const isCut = place.scrollWidth > place.clientWidth + 1;
  if (isCut && !note) place.before(make("p", "Scroll sideways for more columns →", "more"));
  if (!isCut && note) note.remove();
};
const markAll = () => document.querySelectorAll(".wide").forEach(mark);

// Makes a table of the page sortable by each of its columns, and gives it a filter.
const LONG = 10;
const enhance = (id, label) => {
  const made = at(id)?.querySelector("table");
  if (!made) return;
  const body = made.tBodies[0];
  const rows = [...body.rows];
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell.classList.contains("number")) return cell.textContent;
    const value = Number.parseFloat(cell.dataset.value ?? cell.textContent.replaceAll(",", ""));
    return Number.isNaN(value) ? "" : value;
  };
  // Empty cells come last in either direction.
  const compare = (column, way) => (one, other) => {
    const [left, right] = [value(one, column), value(other, column)];
    if (left === "" || right === "") return (left === "") - (right === "");
    const isNumber = typeof left === "number" && typeof right === "number";
    return way * (isNumber ? left - right : String(left).localeCompare(String(right), "en"));
  };
  [...made.tHead.rows[0].cells].forEach((head, column) => {
    const button = make("button", head.textContent, "sort");
    button.onclick = () => {
      const isFirstUp = !head.classList.contains("number");
      const now = head.ariaSort;
      const up = now ? now === "descending" : isFirstUp;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...[...rows].sort(compare(column, up ? 1 : -1)));
    };
    head.replaceChildren(button);
  });
  if (rows.length <= LONG) return;
  at(id).classList.add("scroll");
  const input = make("input");
  input.type = "search";
  input.id = `${id}-filter`;
  const count = make("span");
  count.setAttribute("role", "status");
  input.oninput = () => {
    const wanted = input.value.trim().toLowerCase();
    rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
    const left = rows.filter((row) => !row.hidden).length;
    count.textContent = wanted === "" ? "" : `${number(left)} of ${number(rows.length)}`;
  };
  const name = make("label", `${label} `);
  name.append(input);
  const choices = make("p", undefined, "choices");
  choices.append(name, count);
  at(id).before(choices);
};

// Charts by their places, each with its height.
const charts = new Map();
const refit = () => {
  charts.forEach(([drawn, height], place) => drawn.setSize({ width: place.clientWidth, height }));
  markAll();
};
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
