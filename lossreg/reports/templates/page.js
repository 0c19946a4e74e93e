"use strict";
// Everything that is shown was put in as text: no string of the data ever becomes markup.
(() => {
  const $ = (id) => document.getElementById(id);

  function make(name, properties = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function draw(name, properties, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // Tables that sort.
  const order = new Intl.Collator("en", { numeric: true });

  function compare(a, b) {
    const [x, y] = [a, b].map((cell) => cell.dataset.order);
    if (x !== undefined && y !== undefined) return Number(x) - Number(y);
    return order.compare(a.textContent, b.textContent);
  }

  function sort(table, index, heads) {
    const isUp = heads[index].getAttribute("aria-sort") !== "ascending";
    const body = table.tBodies[0];
    // What has no number stays at the end, whichever way is up.
    const isEmpty = (row) => row.cells[index].textContent === "–";
    const rows = [...body.rows].sort((a, b) =>
      isEmpty(a) - isEmpty(b) || (isUp ? 1 : -1) * compare(a.cells[index], b.cells[index]));
    heads.forEach((head, place) => {
      if (place === index) head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    body.append(...rows);
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    if (table.tBodies[0].rows.length < 2) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      const text = head.querySelector(".text");
      const button = make("button", { type: "button" }, text.textContent);
      button.addEventListener("click", () => sort(table, index, heads));
      text.replaceChildren(button);
    });
  }

  // What cannot be scrolled need not be reached by the keyboard.
  const watching = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.setAttribute("tabindex", "0");
      else target.removeAttribute("tabindex");
    }
  });
  for (const one of document.querySelectorAll(".scroll")) watching.observe(one);

  // Commands that can be copied.
  for (const command of document.querySelectorAll(".command:not(.foreign)")) {
    const button = make("button", { type: "button" }, "Copy");
    button.addEventListener("click", async () => {
      const code = command.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    command.append(button);
  }

  // Paper cannot be clicked.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open]):not(#numbers)")];
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of closed) one.open = false; });

  if (!$("data")) return;

  // The chart.
  const { charts, places, shown } = JSON.parse($("data").textContent);
  const [LEFT, RIGHT, TOP, BOTTOM] = [66, 14, 14, 46];
  let [WIDTH, HEIGHT] = [0, 0]; // as many units as pixels, so that texts have their size on every screen
  const [COLOURS, DASHES, LISTED, ROWS] = [7, 4, 12, 50];
  const on = new Set(shown);
  let chart = charts[0];
  let axis = chart.axes[0];
  let isLog = false;
  let view = null;
  let here = null; // the place under the pointer or the keyboard: { x, key }
  let isKeyed = false;

  const style = (key) => `c${key % COLOURS} d${key % DASHES}`;
  const visible = () => chart.curves.filter((curve) => on.has(curve.key));
  const xs = (curve) => places[curve.x[axis]];
  const canShow = (y) => y !== null && (!isLog || y > 0);
  const minus = (text) => text.replace(/^-/, "−");
  const number = (value, digits = 5) => minus(String(Number(value.toPrecision(digits))));
  const countAt = (curve, index) => (curve.n[index] === 1 ? "1 run" : `${curve.n[index]} runs`);

  function extent(values) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return [0, 1];
    if (low === high) return [low - (Math.abs(low) || 1) / 2, low + (Math.abs(low) || 1) / 2];
    return [low, high];
  }

  function ticks(low, high, most, whole) {
    const raw = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(raw));
    let step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw * (1 - 1e-9));
    if (whole) step = Math.max(1, Math.round(step));
    const found = [];
    for (let index = Math.ceil(low / step - 1e-9); index <= Math.floor(high / step + 1e-9); index += 1) {
      found.push(Number((index * step).toPrecision(12)));
    }
    const greatest = Math.max(...found.map(Math.abs));
    let decimals = 0;
    while (decimals < 12 && Math.abs(Number(step.toFixed(decimals)) - step) > step * 1e-6) decimals += 1;
    const isPlain = greatest === 0 || (greatest >= 1e-4 && greatest < 1e6);
    return found.map((value) => [value, minus(isPlain ? value.toFixed(decimals) : String(Number(value.toPrecision(4))))]);
  }

  function logTicks(low, high) {
    const found = [];
    const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const factors = last - first > 3 ? [1] : [1, 2, 5];
    const stride = Math.ceil((last - first) / 10);
    for (let power = first; power <= last; power += stride) {
      for (const factor of factors) {
        const value = Number((factor * 10 ** power).toPrecision(12));
        if (value >= low && value <= high) found.push([value, String(value)]);
      }
    }
    return found.length > 1 ? found : ticks(low, high, 6, false).filter(([value]) => value > 0);
  }

  function scales() {
    const curves = visible();
    const x = extent(curves.flatMap(xs));
    let y = extent(curves.flatMap((curve) => curve.y.filter(canShow)));
    if (isLog) {
      if (y[0] <= 0) y = [1, 10];
      const room = (y[1] / y[0]) ** 0.04;
      y = [y[0] / room, y[1] * room];
    } else {
      const room = (y[1] - y[0]) * 0.04;
      y = [y[0] - room, y[1] + room];
    }
    const up = isLog ? Math.log : (value) => value;
    const [bottom, top] = y.map(up);
    return {
      x, y,
      px: (value) => LEFT + ((value - x[0]) / (x[1] - x[0])) * (WIDTH - LEFT - RIGHT),
      py: (value) => {
        const share = isLog && value <= 0 ? -1 : (up(value) - bottom) / (top - bottom);
        return HEIGHT - BOTTOM - Math.max(-1, Math.min(2, share)) * (HEIGHT - TOP - BOTTOM);
      },
    };
  }

  const point = (x, y) => `${x.toFixed(1)},${y.toFixed(1)}`;

  function stretches(curve) {
    const found = [[]];
    curve.y.forEach((y, index) => {
      if (canShow(y)) found[found.length - 1].push(index);
      else if (found[found.length - 1].length) found.push([]);
    });
    return found.filter((one) => one.length);
  }

  function drawCurve(curve, bands, lines) {
    const x = xs(curve);
    const strong = isKeyed && here && here.key === curve.key ? " strong" : "";
    for (const one of stretches(curve)) {
      const middle = one.map((index) => point(view.px(x[index]), view.py(curve.y[index])));
      if (one.length === 1) {
        const [cx, cy] = middle[0].split(",");
        lines.append(draw("circle", { class: `dot ${style(curve.key)}`, cx, cy, r: 3 }));
        continue;
      }
      if (curve.sd.length) {
        const edge = (sign) => (index) =>
          point(view.px(x[index]), view.py(curve.y[index] + sign * (curve.sd[index] ?? 0)));
        const outline = [...one.map(edge(1)), ...[...one].reverse().map(edge(-1))];
        bands.append(draw("path", { class: `band ${style(curve.key)}`, d: `M${outline.join("L")}Z` }));
      }
      lines.append(draw("path", { class: `line ${style(curve.key)}${strong}`, d: `M${middle.join("L")}` }));
    }
  }

  function fit() {
    WIDTH = Math.max(280, Math.round($("plot").clientWidth));
    HEIGHT = Math.round(Math.max(260, Math.min(440, WIDTH * 0.45)));
    $("chart").setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    const [width, height] = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
    const inside = $("inside").firstElementChild;
    for (const [name, value] of Object.entries({ width, height })) inside.setAttribute(name, value);
  }

  function drawChart() {
    view = scales();
    const [right, base] = [WIDTH - RIGHT, HEIGHT - BOTTOM];
    const drawing = draw("g", { id: "drawing" });
    for (const [value, text] of isLog ? logTicks(...view.y) : ticks(...view.y, 6, false)) {
      const y = view.py(value);
      drawing.append(draw("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }));
      drawing.append(draw("text", { class: "tick", x: LEFT - 8, y: y + 4, "text-anchor": "end" }, text));
    }
    for (const [value, text] of ticks(...view.x, Math.min(10, WIDTH / 70), axis !== "seconds")) {
      const x = view.px(value);
      drawing.append(draw("line", { class: "mark", x1: x, x2: x, y1: base, y2: base + 5 }));
      drawing.append(draw("text", { class: "tick", x, y: base + 19, "text-anchor": "middle" }, text));
    }
    drawing.append(draw("line", { class: "base", x1: LEFT, x2: right, y1: base, y2: base }));
    drawing.append(draw("text", { class: "axis", x: right, y: HEIGHT - 8, "text-anchor": "end" }, axis));
    const [clip, bands, lines] = [draw("g", { "clip-path": "url(#inside)" }), draw("g", {}), draw("g", {})];
    for (const curve of visible()) drawCurve(curve, bands, lines);
    clip.append(bands, lines);
    drawing.append(clip, draw("g", { id: "cursor" }));
    $("drawing").replaceWith(drawing);
    drawCursor();
  }

  // What is under the pointer.
  function nearest(values, x) {
    let [low, high] = [0, values.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (values[middle] <= x) low = middle;
      else high = middle;
    }
    return Math.abs(values[high] - x) < Math.abs(values[low] - x) ? high : low;
  }

  function readings() {
    return visible()
      .filter((curve) => curve.y.length)
      .map((curve) => ({ curve, index: nearest(xs(curve), here.x) }))
      .filter(({ curve, index }) => curve.y[index] !== null);
  }

  function reading({ curve, index }) {
    const deviation = curve.sd.length ? curve.sd[index] : null;
    const several = deviation === null ? "" : ` ± ${number(deviation, 2)}`;
    // Said where runs of one cell are of different lengths.
    const count = typeof curve.n === "number" ? "" : ` (${countAt(curve, index)})`;
    return `${number(curve.y[index], 4)}${several}${count}`;
  }

  function drawCursor() {
    const cursor = $("cursor");
    cursor.replaceChildren();
    $("tip").hidden = true;
    if (!here) return;
    const found = readings();
    if (!found.length) return;
    const lead = found.find(({ curve }) => curve.key === here.key) ?? found.reduce((best, one) =>
      Math.abs(xs(one.curve)[one.index] - here.x) < Math.abs(xs(best.curve)[best.index] - here.x) ? one : best);
    const at = xs(lead.curve)[lead.index];
    cursor.append(draw("line", { class: "cross", x1: view.px(at), x2: view.px(at), y1: TOP, y2: HEIGHT - BOTTOM }));
    for (const { curve, index } of found) {
      if (!canShow(curve.y[index])) continue;
      const r = isKeyed && curve.key === here.key ? 6 : 4;
      const [cx, cy] = [view.px(xs(curve)[index]), view.py(curve.y[index])];
      cursor.append(draw("circle", { class: `dot here ${style(curve.key)}`, cx, cy, r }));
    }
    showTip(at, found);
  }

  function showTip(at, found) {
    const sign = chart.better === "smaller" ? 1 : -1;
    const sorted = [...found].sort((a, b) => sign * (a.curve.y[a.index] - b.curve.y[b.index]));
    const listed = sorted.slice(0, LISTED);
    const chosen = isKeyed && sorted.find(({ curve }) => curve.key === here.key);
    if (chosen && !listed.includes(chosen)) listed[LISTED - 1] = chosen;
    const lines = listed.map((one) => {
      const swatch = draw("svg", { class: "swatch", viewBox: "0 0 28 8" });
      swatch.append(draw("line", { class: style(one.curve.key), x1: 1, y1: 4, x2: 27, y2: 4 }));
      return make("div", one === chosen ? { class: "chosen" } : {}, swatch,
        make("span", { class: "name" }, one.curve.name), make("span", { class: "value" }, reading(one)));
    });
    const rest = sorted.length - listed.length;
    if (rest > 0) lines.push(make("p", {}, `and ${rest} more`));
    const tip = $("tip");
    tip.replaceChildren(make("p", {}, `${axis} ${number(at)}`), ...lines);
    tip.hidden = false;
    const room = $("plot").clientWidth;
    const x = (view.px(at) / WIDTH) * room;
    const isLeft = x + tip.offsetWidth + 20 > room;
    // Away from the points that it is about.
    const heights = found.map(({ curve, index }) => view.py(curve.y[index]));
    const isLow = heights.reduce((sum, y) => sum + y, 0) / heights.length < (TOP + HEIGHT - BOTTOM) / 2;
    const y = isLow ? Math.max(0, HEIGHT - BOTTOM - tip.offsetHeight - 8) : TOP;
    tip.style.transform = `translate(${Math.max(0, isLeft ? x - tip.offsetWidth - 14 : x + 14)}px, ${y}px)`;
    if (chosen) $("spoken").textContent = `${chosen.curve.name}, ${axis} ${number(at)}: ${reading(chosen)}`;
  }

  function pointAt(event) {
    const box = $("chart").getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const share = (x - LEFT) / (WIDTH - LEFT - RIGHT);
    here = share < -0.03 || share > 1.03 ? null : { x: view.x[0] + share * (view.x[1] - view.x[0]), key: null };
    if (isKeyed) {
      isKeyed = false;
      drawChart();
    } else drawCursor();
  }

  function leave() {
    here = null;
    isKeyed = false;
    drawChart();
  }

  function move(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, ArrowUp: 0, ArrowDown: 0 };
    const curves = visible().filter((curve) => curve.y.length);
    if (event.key === "Escape") return leave();
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey || !curves.length) return;
    event.preventDefault();
    let place = here ? curves.findIndex((curve) => curve.key === here.key) : -1;
    const isNew = place < 0;
    if (isNew) place = 0;
    else if (event.key === "ArrowUp") place = (place + curves.length - 1) % curves.length;
    else if (event.key === "ArrowDown") place = (place + 1) % curves.length;
    const curve = curves[place];
    const values = xs(curve);
    const start = here ? nearest(values, here.x) : 0;
    const next = isNew && event.key !== "End" ? start : start + moves[event.key];
    here = { x: values[Math.max(0, Math.min(values.length - 1, next))], key: curve.key };
    isKeyed = true;
    drawChart();
  }

  // The table of the numbers.
  function fillNumbers() {
    if (!$("numbers").open) return;
    const curves = visible();
    const found = curves.map((curve) => new Map(xs(curve).map((x, index) => [x, curve.y[index]])));
    const all = [...new Set(curves.flatMap(xs))].sort((a, b) => a - b);
    const stride = Math.ceil(all.length / ROWS) || 1;
    const kept = all.filter((x, index) => index % stride === 0 || index === all.length - 1);
    const head = (text, isNumber) => make("th", { scope: "col", ...(isNumber ? { class: "number" } : {}) }, text);
    const table = $("numbers-table");
    table.tHead.replaceChildren(make("tr", {}, head(axis, false), ...curves.map((curve) => head(curve.name, true))));
    table.tBodies[0].replaceChildren(...kept.map((x) => make("tr", {}, make("th", { scope: "row" }, number(x)),
      ...found.map((one) => make("td", { class: "number" }, one.has(x) && one.get(x) !== null ? number(one.get(x)) : "–")))));
  }

  // The legend.
  function setLegend() {
    $("legend").replaceChildren(...chart.curves.map((curve) => {
      const swatch = draw("svg", { class: "swatch", viewBox: "0 0 28 8", "aria-hidden": "true" });
      swatch.append(draw("line", { class: style(curve.key), x1: 1, y1: 4, x2: 27, y2: 4 }));
      const button = make("button", { type: "button", "aria-pressed": on.has(curve.key), "data-key": curve.key,
        title: curve.name }, swatch, make("span", { class: "text" }, curve.name));
      button.addEventListener("click", () => {
        if (!on.delete(curve.key)) on.add(curve.key);
        button.setAttribute("aria-pressed", on.has(curve.key));
        refresh();
      });
      return make("li", {}, button);
    }));
    $("all").hidden = chart.curves.length < 3;
  }

  function setAxes() {
    if (!chart.axes.includes(axis)) axis = chart.axes[0];
    $("axis").replaceChildren(...chart.axes.map((name) => make("option", { value: name }, name)));
    $("axis").value = axis;
  }

  function describe() {
    const over = axis === "seconds" ? "seconds of training" : `${axis}s`;
    const better = chart.better ? `; ${chart.better} is better` : "";
    $("caption").replaceChildren(make("strong", {}, chart.name), ` over ${over}${better}`);
    $("chart-title").textContent = `${chart.name} over ${axis}`;
    const ends = visible().map((curve) => {
      const values = curve.y.filter((y) => y !== null);
      return values.length ? `${curve.name}: from ${number(values[0])} to ${number(values[values.length - 1])}` : "";
    });
    $("chart-description").textContent = `Lines of ${chart.name} over ${over}. ${ends.filter(Boolean).join("; ")}.`;
    $("chart-note").textContent = chart.note;
    const isPositive = chart.curves.some((curve) => curve.y.some((y) => y !== null && y > 0));
    $("log").disabled = !isPositive;
    if (!isPositive) $("log").checked = isLog = false;
  }

  function refresh() {
    here = null;
    describe();
    drawChart();
    fillNumbers();
  }

  function setAll(isOn) {
    for (const curve of chart.curves) {
      if (isOn) on.add(curve.key);
      else on.delete(curve.key);
    }
    setLegend();
    refresh();
  }

  $("metric").addEventListener("change", (event) => {
    chart = charts[Number(event.target.value)];
    setAxes();
    setLegend();
    refresh();
  });
  $("axis").addEventListener("change", (event) => { axis = event.target.value; refresh(); });
  $("log").addEventListener("change", (event) => { isLog = event.target.checked; refresh(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("show-all").addEventListener("click", () => setAll(true));
  $("show-none").addEventListener("click", () => setAll(false));
  $("numbers").addEventListener("toggle", fillNumbers);
  const plot = $("plot");
  plot.addEventListener("pointermove", pointAt);
  plot.addEventListener("pointerdown", pointAt);
  plot.addEventListener("pointerleave", leave);
  plot.addEventListener("keydown", move);
  plot.addEventListener("blur", leave);
  for (const [name, value] of [["tabindex", "0"], ["role", "application"], ["aria-labelledby", "chart-title"],
    ["aria-describedby", "keys"]]) plot.setAttribute(name, value);

  // A browser keeps what was chosen before the page was loaded again.
  $("metric").value = "0";
  $("log").checked = false;
  $("controls").hidden = false;
  $("keys").hidden = false;
  $("chart").classList.add("live");
  fit();
  setAxes();
  setLegend();
  refresh();
  new ResizeObserver(() => {
    if (Math.round(plot.clientWidth) === WIDTH || plot.clientWidth < 280) return;
    fit();
    drawChart();
  }).observe(plot);
})();
