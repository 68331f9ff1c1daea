(() => {
  const contestants = data.contestants;
  at("note").textContent = data.head.join(" ");
  if (data.reasons.length === 0) at("verdict").append(make("strong", data.verdict));
  for (const reason of data.reasons) {
    const line = make("p");
    line.append(make("strong", "Not comparable: "), reason);
    at("reasons").append(line);
  }
  for (const sentence of data.words) at("words").append(make("li", sentence));
  tell("how", data.how);

  // Tables whose rows have names.
  const named = (columns, caption) => {
    const made = table(columns, columns.map((_, place) => place).slice(1), [], caption);
    return [made, made.tBodies[0]];
  };
  const row = (name, cells, part) => {
    const made = make("tr");
    const head = make("th", name, part ? "part" : "");
    head.scope = "row";
    made.append(head, ...cells.map((text) => make("td", text, "number")));
    return made;
  };
  const [summary, lines] = named(["Mode", "Wall time", "95% CI", "Speedup", "95% CI", "p-value"], "Summary");
  for (const one of contestants) lines.append(row(one.name, one.short));
  at("summary").append(summary);
  const [figures] = named(["Metric", ...contestants.map((one) => one.name)], "Metrics of each mode");
  figures.tBodies[0].remove();
  for (const [name, rows] of data.figures) {
    const body = make("tbody");
    const head = make("tr");
    const cell = make("th", name);
    cell.scope = "rowgroup";
    cell.colSpan = contestants.length + 1;
    head.append(cell);
    body.append(head, ...rows.map(([of, part, cells]) => row(of, cells, part)));
    figures.append(body);
  }
  at("figures").append(figures);
  const pair = (place) => data.pairs[place];
  pages(at("pairs"), ["Mode", "Compared with", "Speedup", "95% CI", "p-value"], [2, 3, 4],
    () => data.pairs.length, pair, "All pairs");
  const all = data.columns.map((_, place) => place);
  pages(at("samples"), data.columns, all.filter((place) => place !== data.columns.indexOf("Mode")),
    () => data.samples.length, (place) => data.samples[place], "Individual runs");

  // Charts: a row for each contestant, in which its runs are points, and the interval and the median lie below them.
  const ROW = 52;
  const AXIS = 60;
  const LONGEST = 24;
  const clipped = (name) => (name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name);
  const strip = (id, label, rows, from) => {
    const place = at(id);
    const values = rows.flatMap((one) => [...one.points, one.middle, ...(one.interval ?? [])]);
    const marks = [...new Set(values)].sort((one, other) => one - other);
    const where = new Map(marks.map((mark, at) => [mark, at]));
    const series = [{}];
    const columns = [marks];
    const add = (points, height, how) => {
      const column = new Array(marks.length).fill(null);
      for (const point of points) column[where.get(point)] = height;
      columns.push(column);
      series.push(how);
    };
    const dots = (size, stroke, fill) => ({
      paths: () => null, stroke: () => colour(stroke), points: { show: true, size, width: 1.5, stroke: () => colour(stroke), fill: () => fill ? colour(fill) : "transparent" },
    });
    rows.forEach((one, place) => {
      add(one.points, place - 0.16, dots(8, "--line"));
      const below = one.points.length > 0 ? place + 0.2 : place;
      if (one.interval) {
        add(one.interval, below, { stroke: () => colour("--line"), width: 10, spanGaps: true, points: { show: false } });
      }
      add([one.middle], below, dots(13, "--paper", "--ink"));
    });
    const room = Math.min(190, 10 + 7.5 * Math.max(...rows.map((one) => clipped(one.name).length)));
    chart(id, {
      height: AXIS + ROW * rows.length,
      padding: [8, 24, 0, 0],
      scales: {
        x: { time: false, range: (_, low, high) => {
          const first = Math.min(low, from ?? low);
          const beside = Math.max((high - first) * 0.05, high * 1e-3, 1e-9);
          return [from === 0 ? 0 : first - beside, high + beside];
        } },
        y: { range: () => [-0.5, rows.length - 0.5], dir: -1 },
      },
      axes: [axis(label), axis(undefined, {
        size: room, gap: 6, grid: { show: false }, ticks: { show: false },
        splits: () => rows.map((_, place) => place), values: () => rows.map((one) => clipped(one.name)),
      })],
      series,
    }, columns);
    place.style.height = `${AXIS + ROW * rows.length}px`;
    place.setAttribute("aria-label", `${label}: ${rows.map((one) => one.spoken).join("; ")}`);
  };

  // Wall time.
  const boxes = contestants.map((one) => {
    const box = make("input");
    box.type = "checkbox";
    box.checked = true;
    const told = make("label");
    told.append(box, ` ${one.name}`);
    at("shown").append(told);
    return box;
  });
  const wall = () => {
    const rows = contestants.filter((_, place) => boxes[place].checked);
    const told = rows.map(({ name, wall, short }) => ({
      name, points: wall.runs, middle: wall.median, interval: wall.interval, spoken: `${name} ${short[0]}, 95% CI ${short[1]}`,
    }));
    if (told.length > 0) strip("wall", "seconds", told, at("scale").value === "zero" ? 0 : undefined);
  };
  // One box stays ticked: a chart of nothing is none.
  boxes.forEach((box) => {
    box.onchange = () => {
      if (boxes.every((other) => !other.checked)) box.checked = true;
      wall();
    };
  });
  at("scale").onchange = wall;
  wall();

  // Speedup.
  const faster = contestants.filter((one) => one.speed_up);
  if (faster.length === 0) {
    at("speed").remove();
  } else {
    at("speed-title").textContent = `Speedup vs. ${contestants[0].name}`;
    strip("speed-up", "times as fast", faster.map(({ name, speed_up, short }) => ({
      name, points: [], middle: speed_up.ratio, interval: speed_up.interval, spoken: `${name} ${short[2]}, 95% CI ${short[3]}`,
    })), 0);
  }
  // Figures of runs that are not comparable are marked as such.
  if (!data.comparable) {
    for (const title of document.querySelectorAll(".marked")) title.append(" ", make("strong", "(not comparable)"));
  }
  anew(refit);
})();
