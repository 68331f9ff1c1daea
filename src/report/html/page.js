(() => {
  const fields = ["index", "url", "outcome", "status", "class", "message", "worker", "bytes", "attempts",
    "started", "queued", "connect", "first", "total", "before"];
  const rows = data.rows.map((row) => Object.fromEntries(fields.map((name, place) => [name, row[place]])));

  // Summary.
  const further = data.targets - rows.length;
  const notes = [];
  if (!data.complete) notes.push("No summary found: the run was interrupted or is still in progress.");
  if (further > 0) {
    notes.push(`The waterfall shows the first ${number(rows.length)} completed URLs; totals and charts include all`
      + ` ${number(data.targets)}.`);
  }
  at("note").textContent = notes.join(" ");
  tell("facts", data.facts);

  // Failures by error class.
  const failures = Object.entries(data.failures).sort((one, other) => other[1] - one[1]);
  if (failures.length === 0) {
    at("failures").append(make("p", "No failures."));
  } else {
    const lines = failures.map(([name, count]) =>
      [name, number(count), `${(100 * count / data.targets).toFixed(1)}%`]);
    at("failures").append(table(["Class", "URLs", "Share"], [1, 2], lines, "Failures by error class"));
  }

  const moments = data.under_way.map(([moment]) => moment);
  const means = data.under_way.map(([, mean]) => mean);
  if (moments.length > 0) {
    moments.push(moments[moments.length - 1] + data.width);
    means.push(means[means.length - 1]);
  }
  chart("under-way", {
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
    axes: [axis("seconds since start"), axis("concurrent URLs", { size: 60 })],
    series: [{}, line({ paths: uPlot.paths.stepped({ align: 1 }) })],
  }, [moments, means]);
  pages(at("under-way-data"), ["From", "Concurrent URLs, average"], [0, 1], () => data.under_way.length,
    (place) => [time(Math.max(0, data.under_way[place][0])), data.under_way[place][1].toFixed(2)], "Concurrent URLs over time");

  const steps = data.totals;
  const ends = steps.length > 0 ? [...steps.map(([from]) => from), steps[steps.length - 1][1]] : [];
  const counts = steps.length > 0 ? [...steps.map(([, , count]) => count), 0] : [];
  // Marks stand at powers of ten: two of them at least have to be in sight.
  const decade = (time, way) => 10 ** way(Math.round(Math.log10(time) * 1000) / 1000);
  chart("totals", {
    scales: {
      x: { time: false, distr: 3, range: [decade(ends[0], Math.floor), decade(ends[ends.length - 1], Math.ceil)] },
      y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] },
    },
    axes: [
      axis("seconds from first request to completion, retries included", { values: (_, marks) => marks.map((mark) => mark === null ? "" : `${+mark.toPrecision(2)}`) }),
      axis("URLs", { size: 60 }),
    ],
    series: [{}, line({ paths: uPlot.paths.stepped({ align: 1 }) })],
  }, [ends, counts]);
  pages(at("totals-data"), ["From", "To", "URLs"], [0, 1, 2], () => steps.length,
    (place) => [time(steps[place][0]), time(steps[place][1]), number(steps[place][2])], "Duration distribution");

  // Waterfall: rows of one height, of which those in sight are in the page.
  const HEIGHT = 22;
  const ALL = 1000;
  const COLUMNS = ["4.5rem", "minmax(8rem, 24rem)", "5rem", "1fr"];
  const done = (row) => (row.started === null || row.total === null ? 0 : row.started + row.total);
  const span = rows.reduce((last, row) => Math.max(last, done(row)), 1e-6);
  const box = at("waterfall");
  const all = make("div", undefined, "all");
  all.setAttribute("role", "rowgroup");
  box.append(all);
  box.style.setProperty("--columns", COLUMNS.join(" "));
  box.setAttribute("aria-rowcount", `${rows.length + 1}`);
  box.setAttribute("aria-colcount", `${COLUMNS.length}`);

  const host = (url) => { try { return new URL(url).origin; } catch { return ""; } };
  rows.forEach((row) => { row.host = host(row.url); });
  const hues = new Map();
  const hue = (row) => {
    const key = at("colour").value === "host" ? row.host : row.worker;
    // Steps of the golden angle keep neighbours apart, however many there are.
    if (!hues.has(key)) hues.set(key, Math.round(210 + hues.size * 137.508) % 360);
    return hues.get(key);
  };
  const start = (row) => row.started ?? Infinity;
  const failed = (row) => row.class !== null;
  const orders = {
    start: (one, other) => start(one) - start(other) || one.index - other.index,
    list: (one, other) => one.index - other.index,
    time: (one, other) => (other.total ?? -1) - (one.total ?? -1) || one.index - other.index,
    failed: (one, other) => failed(other) - failed(one) || one.index - other.index,
  };
  // Two rows that were never begun differ by nothing.
  const compare = (order) => (one, other) => orders[order](one, other) || 0;
  let sorted = [];

  // The parts of a bar: what each is, from when to when. `connect` and `first` count from the start of the last attempt.
  const parts = (row) => {
    if (row.started === null || row.total === null) return [];
    const total = row.total;
    const begun = Math.min(row.before, total);
    const connect = Math.min(begun + (row.connect ?? 0), total);
    const first = Math.max(connect, Math.min(row.first === null ? total : begun + row.first, total));
    return [
      ["queued", "queued", -(row.queued ?? 0), 0],
      ["retry", "earlier attempts and waits", 0, begun],
      ["connect", "connecting", begun, connect],
      ["wait", "waiting (TTFB)", connect, first],
      ["receive", "receiving", first, total],
    ].filter(([, , from, to]) => to > from);
  };
  const words = (row) => {
    const told = parts(row).map(([, name, from, to]) => `${name} ${time(to - from)}`);
    const what = row.message === null ? row.outcome : `${row.outcome}: ${row.message}`;
    return [what, ...(told.length > 0 ? told : ["no request"])].join(", ");
  };
  const cell = (text, name) => {
    const made = make("span", text, name);
    made.setAttribute("role", "cell");
    return made;
  };
  const draw = (row, place) => {
    const made = make("div", undefined, failed(row) ? "row failed" : "row");
    made.setAttribute("role", "row");
    made.setAttribute("aria-rowindex", `${place + 2}`);
    made.style.top = `${place * HEIGHT}px`;
    made.style.setProperty("--hue", hue(row));
    const bar = cell(undefined, "bar");
    const spoken = make("span", words(row), "visually-hidden");
    bar.append(spoken);
    for (const [kind, , from, to] of parts(row)) {
      const part = make("i", undefined, kind);
      part.style.left = `${100 * (row.started + from - view[0]) / (view[1] - view[0])}%`;
      part.style.width = `${100 * (to - from) / (view[1] - view[0])}%`;
      bar.append(part);
    }
    made.append(cell(`${row.index}`, "number"), cell(row.url, "url"), cell(time(row.total), "number"), bar);
    const who = row.worker === null ? "" : `, worker ${row.worker}`;
    made.title = `${row.url}\n${words(row)}${row.status === null ? "" : `, HTTP ${row.status}`}${who}, ${number(row.bytes)} bytes`;
    return made;
  };
  const head = make("div", undefined, "row visually-hidden");
  head.setAttribute("role", "row");
  head.setAttribute("aria-rowindex", "1");
  for (const name of ["#", "URL", "Time", "Result and timing"]) {
    const made = make("span", name);
    made.setAttribute("role", "columnheader");
    head.append(made);
  }
  // The rows in sight, and so many beside them.
  const sight = (beside) => [
    Math.max(0, Math.floor(box.scrollTop / HEIGHT) - beside),
    Math.min(rows.length, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + beside),
  ];
  // What the waterfall shows, from when to when.
  const look = () => {
    if (at("scale").value === "run") return [0, span];
    const begun = sorted.slice(...sight(0)).filter((row) => parts(row).length > 0);
    if (begun.length === 0) return [0, span];
    const first = Math.min(...begun.map((row) => row.started));
    const last = Math.max(...begun.map(done));
    return [first, Math.max(last, first + 1e-6)];
  };
  let view = [0, span];
  let shown = [-1, -1];
  let rescale = () => {};
  const refresh = () => {
    const [first, last] = rows.length > ALL ? sight(20) : [0, rows.length];
    const [from, to] = look();
    if (from !== view[0] || to !== view[1]) {
      view = [from, to];
      rescale();
    } else if (first === shown[0] && last === shown[1]) {
      return;
    }
    shown = [first, last];
    all.replaceChildren(head, ...sorted.slice(first, last).map((row, step) => draw(row, first + step)));
  };
  const legend = () => {
    const by = at("colour").value;
    const kinds = [["queued", "queued"], ["retry", "earlier attempts and waits"], ["connect", "connecting"], ["wait", "waiting (TTFB)"], ["receive", "receiving"]];
    at("legend").replaceChildren(...kinds.map(([kind, name]) => {
      const item = make("li");
      const sample = make("span", undefined, kind);
      sample.style.setProperty("--hue", 210);
      item.append(sample, name);
      return item;
    }), make("li", `color: ${by}; ✕ failed`));
  };
  const again = pages(at("rows-data"), ["#", "URL", "Outcome", "Status", "Error", "Worker", "Bytes", "Attempts", "Queued",
    "Connecting", "First byte", "Total"], [0, 3, 5, 6, 7, 8, 9, 10, 11], () => sorted.length, (place) => {
    const row = sorted[place];
    return [`${row.index}`, row.url, row.outcome, row.status === null ? "" : `${row.status}`,
      row.message === null ? "" : `${row.class}: ${row.message}`, row.worker === null ? "" : `${row.worker}`, number(row.bytes),
      `${row.attempts}`, time(row.queued), time(row.connect), time(row.first), time(row.total)];
  }, "URLs of the waterfall");
  const arrange = () => {
    sorted = [...rows].sort(compare(at("order").value));
    hues.clear();
    legend();
    all.style.height = `${Math.max(1, sorted.length) * HEIGHT}px`;
    shown = [-1, -1];
    refresh();
    again();
  };
  for (const id of ["order", "scale", "colour"]) at(id).onchange = arrange;
  box.addEventListener("scroll", refresh);
  if (rows.length > 0) arrange();
  else box.textContent = "No URLs.";

  // The axis of the waterfall stands above its column of bars.
  const scale = (() => {
    const bar = all.querySelector(".bar");
    if (!bar) return null;
    const sizes = () => {
      const [outer, inner] = [at("axis").getBoundingClientRect(), bar.isConnected
        ? bar.getBoundingClientRect() : all.querySelector(".bar").getBoundingClientRect()];
      return { left: Math.max(0, inner.left - outer.left), width: Math.max(100, inner.width) };
    };
    // Room for the halves of the first and the last number.
    const BESIDE = 20;
    const { left, width } = sizes();
    at("axis").style.paddingLeft = `${left - BESIDE}px`;
    const chart = new uPlot({
      width: width + 2 * BESIDE, height: 40, padding: [0, BESIDE, 0, BESIDE], legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false, range: () => view }, y: { range: [0, 1] } },
      axes: [axis(undefined, { side: 0, size: 38, values: (_, marks) => marks.map((mark) => `${+mark.toFixed(6)} s`) }), { show: false }],
      series: [{}, { show: false }],
    }, [[0, span], [null, null]], at("axis"));
    rescale = () => chart.setScale("x", { min: view[0], max: view[1] });
    return () => {
      const { left, width } = sizes();
      at("axis").style.paddingLeft = `${left - BESIDE}px`;
      chart.setSize({ width: width + 2 * BESIDE, height: 40 });
    };
  })();

  anew(() => {
    refit();
    if (scale) scale();
    if (rows.length > 0) refresh();
  });
})();
