(() => {
  const fields = ["index", "url", "outcome", "status", "class", "message", "worker", "bytes", "attempts",
    "started", "queued", "connect", "first", "total", "begun", "ended", "waits", "mirror"];
  const rows = data.rows.map((row) => Object.fromEntries(fields.map((name, place) => [name, row[place]])));
  enhance("failed", "Filter failures");
  enhance("failures", "Filter classes");
  enhance("hosts", "Filter hosts");

  // Waterfall: rows of one height, of which those in sight are in the page. On a narrow screen a bar stands below its URL.
  const narrow = matchMedia("(max-width: 640px)");
  let height = narrow.matches ? 44 : 22;
  const ALL = 1000;
  const COLUMNS = ["#", "URL", "Time", "Result and timing"];
  const done = (row) => (row.started === null || row.total === null ? 0 : row.started + row.total);
  const span = rows.reduce((last, row) => Math.max(last, done(row)), 1e-6);
  const box = at("waterfall");
  const all = make("div", undefined, "all");
  all.setAttribute("role", "rowgroup");
  box.append(all);
  box.setAttribute("aria-colcount", `${COLUMNS.length}`);

  const host = (url) => { try { return new URL(url).origin; } catch { return ""; } };
  rows.forEach((row) => {
    row.host = host(row.mirror ?? row.url);
    row.urls = row.mirror === null ? row.url : `${row.url} (mirror ${row.mirror})`;
    row.text = [row.urls, row.outcome, row.class, row.message, row.status].filter((part) => part !== null).join("\n").toLowerCase();
  });
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
  // The difference of two rows that were never started is not a number.
  const compare = (order) => (one, other) => orders[order](one, other) || 0;
  let sorted = [];

  const KINDS = {
    queued: "queued",
    earlier: "earlier attempts",
    retry: "waiting to retry",
    connect: "connecting",
    wait: "waiting (TTFB)",
    receive: "receiving",
  };
  // The parts of a bar: the kind of each, from when to when, in seconds since the first request. `connect` and `first`
  // count from the start of the last attempt.
  const parts = (row) => {
    if (row.started === null || row.total === null) return [];
    const [begun, ended] = [row.begun, row.ended];
    const found = [["queued", -(row.queued ?? 0), 0]];
    let from = 0;
    for (const [first, last] of row.waits.filter(([first]) => first < begun)) {
      found.push(["earlier", from, first], ["retry", first, last]);
      from = last;
    }
    const connect = Math.min(begun + (row.connect ?? 0), ended);
    const first = Math.max(connect, Math.min(row.first === null ? ended : begun + row.first, ended));
    found.push(["earlier", from, begun], ["connect", begun, connect], ["wait", connect, first], ["receive", first, ended]);
    found.push(...row.waits.filter(([first]) => first >= begun).map(([first, last]) => ["retry", first, last]));
    return found.filter(([, from, to]) => to > from);
  };
  const words = (row) => {
    const sums = new Map();
    for (const [kind, from, to] of parts(row)) sums.set(kind, (sums.get(kind) ?? 0) + to - from);
    const times = Object.keys(KINDS).filter((kind) => sums.has(kind)).map((kind) => `${KINDS[kind]} ${time(sums.get(kind))}`);
    const what = row.message === null ? row.outcome : `${row.outcome}: ${row.message}`;
    return [what, ...(times.length > 0 ? times : ["no request"])].join(", ");
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
    made.style.top = `${place * height}px`;
    made.style.setProperty("--hue", hue(row));
    const bar = cell(undefined, "bar");
    bar.append(make("span", words(row), "visually-hidden"));
    for (const [kind, from, to] of parts(row)) {
      const part = make("i", undefined, kind);
      part.style.left = `${100 * (row.started + from - view[0]) / (view[1] - view[0])}%`;
      part.style.width = `${100 * (to - from) / (view[1] - view[0])}%`;
      bar.append(part);
    }
    if (done(row) > view[1] + 1e-6) bar.append(make("b", "→", "cut"));
    made.append(cell(number(row.index), "number index"), cell(row.url, "url"), cell(time(row.total), "number"), bar);
    const worker = row.worker === null ? "" : `, worker ${row.worker}`;
    made.title = `${row.urls}\n${words(row)}${row.status === null ? "" : `, HTTP ${row.status}`}${worker}, ${number(row.bytes)} bytes`;
    return made;
  };
  const head = make("div", undefined, "row visually-hidden");
  head.setAttribute("role", "row");
  head.setAttribute("aria-rowindex", "1");
  for (const name of COLUMNS) {
    const made = make("span", name);
    made.setAttribute("role", "columnheader");
    head.append(made);
  }
  // The rows in sight, and `beside` of them above and below.
  const sight = (beside) => [
    Math.max(0, Math.floor(box.scrollTop / height) - beside),
    Math.min(sorted.length, Math.ceil((box.scrollTop + box.clientHeight) / height) + beside),
  ];
  // What the waterfall shows, from when to when. Rows that waited to be retried may be cut: beside them, the bars of the
  // others would be too short to be seen.
  const look = () => {
    if (at("scale").value === "run") return [0, span];
    const begun = sorted.slice(...sight(0)).filter((row) => parts(row).length > 0);
    if (begun.length === 0) return [0, span];
    const first = Math.min(...begun.map((row) => row.started));
    const plain = begun.filter((row) => row.waits.length === 0);
    const last = Math.max(...(plain.length > 0 ? plain : begun).map(done));
    return [first, Math.max(last, first + 1e-6)];
  };
  let view = [0, span];
  let shown = [-1, -1];
  let rescale = () => {};
  const refresh = () => {
    const [first, last] = sorted.length > ALL ? sight(20) : [0, sorted.length];
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
    at("legend").replaceChildren(...Object.entries(KINDS).map(([kind, name]) => {
      const item = make("li");
      const sample = make("span", undefined, kind);
      sample.style.setProperty("--hue", 210);
      item.append(sample, name);
      return item;
    }), make("li", `color: ${by}; ✕ failed; → continues`));
  };
  const again = pages(at("rows-data"), ["#", "URL", "Outcome", "Status", "Error", "Worker", "Bytes", "Attempts", "Queued",
    "Connecting", "First byte", "Total"], [0, 3, 5, 6, 7, 8, 9, 10, 11], () => sorted.length, (place) => {
    const row = sorted[place];
    return [number(row.index), row.urls, row.outcome, row.status === null ? "" : `${row.status}`,
      row.message === null ? "" : `${row.class}: ${row.message}`, row.worker === null ? "" : number(row.worker), number(row.bytes),
      number(row.attempts), time(row.queued), time(row.connect), time(row.first), time(row.total)];
  }, "URLs of the waterfall");
  const arrange = () => {
    const wanted = at("filter").value.trim().toLowerCase();
    sorted = rows.filter((row) => row.text.includes(wanted)).sort(compare(at("order").value));
    at("matches").textContent = wanted === "" ? "" : `${number(sorted.length)} of ${number(rows.length)} URLs`;
    box.setAttribute("aria-rowcount", `${sorted.length + 1}`);
    hues.clear();
    legend();
    all.style.height = `${Math.max(1, sorted.length) * height}px`;
    box.scrollTop = 0;
    shown = [-1, -1];
    refresh();
    again();
  };
  for (const id of ["order", "scale", "colour"]) at(id).onchange = arrange;
  at("filter").oninput = arrange;
  box.addEventListener("scroll", refresh);
  if (rows.length > 0) arrange();
  else box.replaceWith(make("p", "No URLs."));

  // The axis of the waterfall stands above its column of bars.
  const scale = (() => {
    if (!all.querySelector(".bar")) return null;
    // Room for the halves of the first and the last number.
    const BESIDE = 28;
    const fit = () => {
      const bar = all.querySelector(".bar")?.getBoundingClientRect();
      if (!bar) return null;
      at("axis").style.marginLeft = `${bar.left - at("waterfall").getBoundingClientRect().left - BESIDE}px`;
      return { width: Math.max(100, bar.width) + 2 * BESIDE, height: 40 };
    };
    const size = fit();
    const digits = () => Math.max(0, 1 - Math.floor(Math.log10(Math.max(view[1] - view[0], 1e-6) / 5)));
    const chart = new uPlot({
      ...size, padding: [0, BESIDE, 0, BESIDE], legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false, range: () => view }, y: { range: [0, 1] } },
      axes: [axis(undefined, {
        side: 0, size: 38, space: 70,
        values: (_, marks) => marks.map((mark) => `${+mark.toFixed(digits())} s`),
      }), { show: false }],
      series: [{}, { show: false }],
    }, [[0, span], [null, null]], at("axis"));
    rescale = () => chart.setScale("x", { min: view[0], max: view[1] });
    return () => {
      const size = fit();
      if (size) chart.setSize(size);
    };
  })();

  // Transfers in progress.
  const moments = data.under_way.map(([moment]) => moment);
  const means = data.under_way.map(([, mean]) => mean);
  if (moments.length > 0) {
    moments.push(moments[moments.length - 1] + data.width);
    means.push(means[means.length - 1]);
  }
  const counts = { range: (_, low, high) => [0, Math.max(1, high * 1.05)] };
  const whole = { size: 60, incrs: [1, 2, 5].flatMap((step) => Array.from({ length: 10 }, (_, power) => step * 10 ** power)).sort((one, other) => one - other) };
  chart("under-way", {
    scales: { x: { time: false }, y: counts },
    axes: [axis("seconds since start", { values: (_, marks) => marks.map((mark) => number(+mark.toFixed(6))) }),
      axis("transfers", { ...whole, values: (_, marks) => marks.map(number) })],
    series: [{}, line({ paths: uPlot.paths.stepped({ align: 1 }) })],
  }, [moments, means]);
  pages(at("under-way-data"), ["From", "Transfers in progress, average"], [0, 1], () => data.under_way.length,
    (place) => [time(Math.max(0, data.under_way[place][0])), data.under_way[place][1].toFixed(2)], "Transfers in progress");

  // Duration distribution, on an axis with marks at 1, 2 and 5 times the powers of ten.
  const steps = data.totals;
  const ends = steps.length > 0 ? [...steps.map(([from]) => from), steps[steps.length - 1][1]] : [];
  const urls = steps.length > 0 ? [...steps.map(([, , count]) => count), 0] : [];
  const marks = (step) => Array.from({ length: 14 }, (_, place) => place - 6)
    .flatMap((power) => step.map((digit) => Number(`${digit}e${power}`)));
  const every = marks([1, 2, 5]);
  const low = every.findLast((mark) => mark <= ends[0] * 1.01) ?? every[0];
  const high = every.find((mark) => mark >= ends[ends.length - 1] * 0.99) ?? every[every.length - 1];
  const inside = (all) => all.filter((mark) => mark >= low && mark <= high);
  const most = () => Math.max(2, at("totals").clientWidth / 60);
  const chosen = () => {
    const fits = inside(every).length <= most() ? inside(every) : inside(marks([1]));
    return fits.filter((_, place) => place % Math.ceil(fits.length / most()) === 0);
  };
  const label = (seconds) => (seconds < 1e-3 ? `${+(seconds * 1e6).toPrecision(3)} µs`
    : seconds < 1 ? `${+(seconds * 1e3).toPrecision(3)} ms` : `${number(seconds)} s`);
  chart("totals", {
    scales: { x: { time: false, distr: 3, range: () => [low, high] }, y: counts },
    axes: [
      axis("from first request to completion, retries included", { splits: chosen, filter: (_, marks) => marks, values: (_, marks) => marks.map(label) }),
      axis("URLs", { ...whole, values: (_, marks) => marks.map(number) }),
    ],
    series: [{}, line({ paths: uPlot.paths.stepped({ align: 1 }) })],
  }, [ends, urls]);
  pages(at("totals-data"), ["From", "To", "URLs"], [0, 1, 2], () => steps.length,
    (place) => [time(steps[place][0]), time(steps[place][1]), number(steps[place][2])], "Duration distribution");

  onChange(() => {
    refit();
    if (rows.length > 0) refresh();
    if (scale) scale();
  });
  narrow.addEventListener("change", () => {
    height = narrow.matches ? 44 : 22;
    if (rows.length > 0) arrange();
    if (scale) scale();
  });
  markAll();
})();
