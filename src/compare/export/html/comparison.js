(() => {
  const contestants = data.contestants;
  enhance("summary", "Filter modes");
  enhance("runs", "Filter runs");
  pages(at("pairs"), ["Mode", "Compared with", "Speedup", "95% CI", "p-value"], [2, 3, 4],
    () => data.pairs.length, (place) => data.pairs[place], "All pairs");
  at("samples").addEventListener("toggle", markAll);

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
    const label = make("label");
    label.append(box, ` ${one.name}`);
    at("shown").append(label);
    return box;
  });
  const wall = () => {
    const rows = contestants.filter((_, place) => boxes[place].checked);
    const strips = rows.map(({ name, wall, short }) => ({
      name, points: wall.runs, middle: wall.median, interval: wall.interval, spoken: `${name} ${short[0]}, 95% CI ${short[1]}`,
    }));
    if (strips.length > 0) strip("wall", "seconds", strips, at("scale").value === "zero" ? 0 : undefined);
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
    strip("speed-up", "times as fast", faster.map(({ name, speed_up, short }) => ({
      name, points: [], middle: speed_up.ratio, interval: speed_up.interval, spoken: `${name} ${short[2]}, 95% CI ${short[3]}`,
    })), 0);
  }
  onChange(refit);
  markAll();
})();
