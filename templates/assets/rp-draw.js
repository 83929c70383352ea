// Makes the Plotly figure of a chart for a view. Colours, widths and sizes are those that rp.css gives
// the static drawing, asked of the browser at the time of drawing.
// @ts-check
import { unitOf } from "./rp-axes.js";

/** @typedef {import("./rp-axes.js").Range} Range */
/** @typedef {import("./rp-axes.js").Axis} Axis */
/** @typedef {import("./rp-files.js").Trace} Trace */
/** @typedef {import("./rp-files.js").Column} Column */
/** @typedef {import("./rp-view.js").View} View */
/** @typedef {{figure: HTMLElement, plot: HTMLElement, svg: SVGElement, gd: any, entry: any, coarse: Trace[], traces: Trace[],
 *   own: Range | null, shown: Range, over: string}} Chart */

const RAW = 0.25; // opacity of what is smoothed

/** Exponential moving average without the bias of its start, as TensorBoard smooths a line.
 * @param {Column} y @param {number} weight @returns {Column} */
export function smoothed(y, weight) {
  let sum = 0;
  let share = 0;
  return y.map((v) => {
    if (v == null) return null;
    sum = sum * weight + (1 - weight) * v;
    share = share * weight + (1 - weight);
    return sum / share;
  });
}

/** The axis that a chart shows while the reader has chosen `ax`; null: its own, which no other shares.
 * @param {Chart} chart @param {Axis} ax @returns {Axis | null} */
export function axisOf({ entry }, ax) {
  if (entry.axis === "step") return ax;
  if (entry.axis !== "time") return null;
  return ax === "wall" ? "wall" : "elapsed";
}

/** @param {Chart} chart @param {import("./rp-axes.js").Axes} axes @param {Axis | null} shown */
function placed({ entry }, axes, shown) {
  const start = axes.axes.start ?? 0;
  return (/** @type {number} */ x, /** @type {Trace | null} */ trace = null, i = 0) => {
    if (!shown) return x;
    if (trace?.axes) return shown === "wall" ? NaN : trace.axes.fromStep(x, shown); // it ran on other days
    if (entry.axis === "time") {
      if (shown === "wall" && trace?.meta === "base") return NaN;
      return x * entry.unit_seconds + entry.offset + (shown === "wall" ? start : 0);
    }
    const seconds = shown === "elapsed" || shown === "wall" ? trace?.t?.[i] : undefined;
    if (seconds !== undefined) return seconds + (shown === "wall" ? start : 0);
    return axes.fromStep(x, shown, trace?.meta === "base");
  };
}

/** Ends of everything. @param {Chart} chart @param {import("./rp-axes.js").Axes} axes @param {Axis} ax @returns {Range} */
export function fullOf(chart, axes, ax) {
  const place = placed(chart, axes, axisOf(chart, ax));
  const [a, b] = chart.entry.layout.xaxis.range;
  return [place(a), place(b)];
}

/** What rp.css says about an element of the static chart. @param {Element} svg @param {string} tag @param {string} classes */
function look(svg, tag, classes) {
  const probe = document.createElementNS("http://www.w3.org/2000/svg", tag);
  probe.setAttribute("class", classes);
  svg.append(probe);
  const { stroke, strokeWidth, strokeDasharray, fill, opacity, fontSize } = getComputedStyle(probe);
  probe.remove();
  return { stroke, width: parseFloat(strokeWidth), dash: strokeDasharray.replace("none", "solid"), fill,
    opacity: Number(opacity), size: parseFloat(fontSize) };
}

/** The outline of a band, one piece after the other. @param {Column} x @param {Column} lo @param {Column} hi */
function outline(x, lo, hi) {
  /** @type {Column} */ const xs = [];
  /** @type {Column} */ const ys = [];
  let from = 0;
  for (let i = 0; i <= x.length; i++) {
    if (i < x.length && lo[i] != null && hi[i] != null) continue;
    if (i > from) {
      const [a, b, c] = [x.slice(from, i), hi.slice(from, i), lo.slice(from, i)];
      if (xs.length) { xs.push(x[from]); ys.push(null); }
      xs.push(...a, ...a.reverse());
      ys.push(...b, ...c.reverse());
    }
    from = i + 1;
  }
  return { x: xs, y: ys };
}

/** Lowest and highest of what is drawn between a and b, with what lines have at a and b.
 * @param {{x: Column, columns: Column[]}[]} drawn @param {Range} shown @param {boolean} log */
function reach(drawn, [a, b], log) {
  let [low, high] = [Infinity, -Infinity];
  const take = (/** @type {number} */ v) => {
    if (log && v <= 0) return;
    low = Math.min(low, v);
    high = Math.max(high, v);
  };
  for (const { x, columns } of drawn) {
    for (const y of columns) {
      for (let i = 0; i < x.length; i++) {
        const [x0, y0, x1, y1] = [x[i], y[i], x[i + 1], y[i + 1]];
        if (x0 == null || y0 == null) continue;
        if (x0 >= a && x0 <= b) take(y0);
        if (x1 == null || y1 == null) continue;
        for (const edge of [a, b]) {
          if ((x0 - edge) * (x1 - edge) < 0) take(y0 + ((y1 - y0) * (edge - x0)) / (x1 - x0));
        }
      }
    }
  }
  return low <= high ? { low, high } : null;
}

/** @param {any} stands layout.yaxis of the drawing @param {ReturnType<typeof reach>} found @param {boolean} log @returns {Range} */
function yRange(stands, found, log) {
  if (!found) return stands.range;
  const [low, high] = log ? [Math.log10(found.low), Math.log10(found.high)] : [found.low, found.high];
  const pad = 0.06 * (high - low) || 0.05 * Math.abs(high) || 1;
  return [low - pad, high + pad];
}

/** @param {Chart} chart */
const positive = (chart) => chart.traces.every(({ meta, y, lo }) =>
  meta === "bad" || [...y, ...(lo ?? [])].every((v) => v == null || v > 0));

/** Whether y is logarithmic: as the reader wants, or as the drawing is. @param {Chart} chart @param {View} view */
export function isLog(chart, view) {
  if (view.y === "linear") return false;
  return view.y === "log" ? positive(chart) : chart.entry.layout.yaxis.type === "log";
}

/** Only powers of ten, at most five, where a log axis spans some. @param {boolean} log @param {Range} range */
function decades(log, [low, high]) {
  const whole = Math.floor(high) - Math.ceil(low) + 1;
  return log && whole >= 2 ? Math.ceil(whole / 5) : null;
}

/** Numbers of an axis as Plotly takes them: times in their unit, dates in milliseconds.
 * @param {Axis | null} shown @param {Range} full */
export function plotted(shown, full) {
  if (shown === "wall") {
    return { name: "UTC", to: (/** @type {number} */ v) => v * 1000,
      from: (/** @type {any} */ v) => (typeof v === "string" ? Date.parse(`${v.replace(" ", "T")}Z`) : v) / 1000 };
  }
  const unit = shown === "elapsed" ? unitOf(full[1] - full[0]) : { name: shown ?? "", seconds: 1 };
  return { name: unit.name, to: (/** @type {number} */ v) => v / unit.seconds,
    from: (/** @type {any} */ v) => Number(v) * unit.seconds };
}

/** What is said of each row beside its value: the least and the largest where it stands for several, and its
 * attempt where there were several. @param {Trace} trace @param {[number, number][]} attempts */
function remarks({ key, x, lo, hi }, attempts) {
  const number = (/** @type {number} */ v) => v.toLocaleString("en", { maximumSignificantDigits: 4 });
  const several = attempts.length > 1 && key[0] === "c";
  if (!several && !lo) return null;
  return x.map((step, i) => {
    const [low, high] = [lo?.[i], hi?.[i]];
    const ends = low != null && high != null && low < high ? ` (${number(low)} to ${number(high)})` : "";
    return several ? `${ends}, attempt ${(attempts.findLast(([first]) => first <= step) ?? attempts[0])[1]}` : ends;
  });
}

/** A trace of the file as one or more of Plotly's. @param {Chart} chart @param {Trace} trace @param {Column} x @param {View} view
 * @param {[number, number][]} attempts */
function lines(chart, trace, x, view, attempts) {
  const { svg } = chart;
  const { meta, y, lo, hi, fill, name, yaxis } = trace;
  const base = { type: "scatter", x, y, name };
  if (meta === "bad") {
    const { stroke, width } = look(svg, "line", "bad");
    const marker = { symbol: "line-ns", size: 14, color: stroke, line: { color: stroke, width } };
    return [{ ...base, mode: "markers", yaxis, text: trace.text, marker, hovertemplate: "%{text}<extra></extra>" }];
  }
  const area = (/** @type {any} */ of, /** @type {string} */ classes) => {
    const { fill: fillcolor, opacity } = look(svg, "path", classes);
    return { type: "scatter", ...of, mode: "lines", fill: "toself", fillcolor, opacity, hoverinfo: "skip",
      line: { width: 0, color: fillcolor, simplify: false }, showlegend: false };
  };
  if (fill === "toself") return [area({ x, y, name }, meta)];
  const { stroke: color, width, dash, opacity } = look(svg, "path", meta);
  const line = /** @type {any} */ ({ ...base, mode: trace.mode, line: { color, width, dash, simplify: false }, marker: { color, size: 5 }, opacity });
  const out = [];
  const smooth = view.sm && trace.mode === "lines" && !trace.exact;
  if (lo && hi && !smooth) out.push(area(outline(x, lo, hi), meta === "run" ? "band" : `band ${meta}`));
  if (trace.mute) line.hoverinfo = "skip";
  if (smooth && meta === "sibling") return [{ ...line, y: smoothed(y, view.sm) }];
  if (smooth) {
    out.push({ ...line, opacity: RAW * opacity, hoverinfo: "skip", showlegend: false });
    return [...out, { ...line, y: smoothed(y, view.sm), hovertemplate: "%{y} smoothed" }];
  }
  const text = remarks(trace, attempts);
  return [...out, { ...line, ...(text ? { text, hovertemplate: "%{y}%{text}" } : trace.mute ? {} : { hoverinfo: "all" }) }];
}

/** @param {Chart} chart @param {(x: number) => number} place @param {(v: number) => number} to
 * @param {number | null} start where the seconds of the run begin, on an axis of time @param {Range} shown */
function marks({ entry, svg }, place, to, start, shown) {
  const at = (/** @type {number} */ x, /** @type {number} */ i, /** @type {number} */ end) => {
    const seconds = start === null ? undefined : entry.times[i]?.[end];
    return to(seconds === undefined || start === null ? place(x) : seconds + start);
  };
  const shapes = entry.layout.shapes ?? [];
  const width = to(shown[1]) - to(shown[0]);
  const bands = shapes.map((/** @type {any} */ shape, /** @type {number} */ i) => {
    const { fill, opacity } = look(svg, "rect", `ev ${shape.name}`);
    const [x0, x1] = [at(shape.x0, i, 0), at(shape.x1, i, 1)];
    return { ...shape, x0, x1, fillcolor: fill, opacity, line: { width: x1 - x0 < 0.003 * width ? 3 : 0, color: fill } };
  });
  const words = look(svg, "text", "ev");
  const notes = (entry.layout.annotations ?? []).filter((/** @type {any} */ note) => note.name === "event").map((/** @type {any} */ note) => {
    const i = shapes.findIndex((/** @type {any} */ s) => s.x0 === note.x);
    const x = at(note.x, i, 0);
    const share = (x - to(shown[0])) / width;
    return { ...note, x, font: { size: words.size, color: words.fill }, visible: share >= 0 && share <= 1,
      xanchor: share < 0.08 ? "left" : share > 0.92 ? "right" : "center" };
  });
  return { bands, notes };
}

/** The last values of curves, where the window shows them. @param {Chart} chart @param {View} view
 * @param {(x: number, trace: any) => number} place @param {(v: number) => number} to @param {Range} window @param {boolean} log */
function lastValues({ entry, svg }, view, place, to, window, log) {
  const ends = (entry.layout.annotations ?? []).filter((/** @type {any} */ note) => note.name !== "event");
  return ends.map((/** @type {any} */ note) => {
    const { fill, size } = look(svg, "text", note.name);
    const base = note.name.includes("base");
    const x = to(place(note.x, { meta: base ? "base" : "run" }));
    const value = entry.layout.yaxis.type === "log" ? 10 ** note.y : note.y;
    const visible = Number.isFinite(x) && x >= window[0] && x <= window[1] && (view.base || !base);
    return { ...note, x: visible ? x : window[0], y: log ? Math.log10(value) : value, visible, font: { size, color: fill } };
  });
}

/** As much of a date as tells the ticks of a window apart: one line has to do. @param {Range} range in milliseconds */
function dateFormat([a, b]) {
  const hours = (b - a) / 3.6e6;
  if (hours > 24 * 20) return "%Y-%m-%d";
  return hours > 20 ? "%b %d %H:%M" : hours > 0.1 ? "%H:%M" : "%H:%M:%S";
}

/** @param {number[]} range */
const large = (range) => Math.max(...range.map(Math.abs)) >= 10000;

/** The figure. `shown` is the window in units of the chart's axis, `whole` whether that is everything.
 * @param {Chart} chart @param {View} view @param {import("./rp-axes.js").Axes} axes @param {Range} full @param {Range} shown
 * @param {Trace[]} siblings drawn behind */
export function drawing(chart, view, axes, full, shown, siblings = []) {
  const { svg, entry, plot } = chart;
  const kind = axisOf(chart, view.ax);
  const wall = kind === "wall";
  const place = placed(chart, axes, kind);
  const { name, to } = plotted(kind, full);
  const log = isLog(chart, view);
  const traces = [...siblings, ...chart.traces.filter((t) => view.base || t.meta !== "base")];
  const drawn = traces.map((trace) => ({ trace, x: trace.x.map((v, i) => to(place(v, trace, i))).map((v) => (Number.isFinite(v) ? v : null)) }));
  const data = drawn.flatMap(({ trace, x }) => lines(chart, trace, x, view, entry.axis === "step" ? axes.axes.attempts : []));
  const whole = shown[0] === full[0] && shown[1] === full[1];
  const stands = entry.layout.yaxis;
  const window = /** @type {Range} */ (shown.map(to));
  const seen = drawn.filter(({ trace }) => trace.meta !== "bad" && trace.meta !== "sibling").map(({ trace: { y, lo, hi, exact }, x }) =>
    ({ x, columns: lo && hi && !(view.sm && !exact) ? [lo, hi] : [y] }));
  const y = whole && log === (stands.type === "log") ? stands.range : yRange(stands, reach(seen, window, log), log);
  const words = look(svg, "text", "");
  const grid = look(svg, "line", "grid").stroke;
  const axisLine = look(svg, "line", "axis").stroke;
  const base = getComputedStyle(plot);
  const { bands, notes } = marks(chart, (x) => place(x), to, kind === "elapsed" ? 0 : wall ? axes.axes.start : null, shown);
  const font = { size: words.size, color: words.fill, family: base.fontFamily };
  const axis = { gridcolor: grid, linecolor: axisLine, zeroline: false, title: { text: "" }, ticks: "", exponentformat: "e", separatethousands: true };
  const layout = {
    margin: { l: parseFloat(base.paddingLeft), r: parseFloat(base.paddingRight), t: parseFloat(base.paddingTop), b: parseFloat(base.paddingBottom), pad: 0 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font, showlegend: false, hovermode: "x unified",
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
    hoverlabel: { namelength: -1, bgcolor: base.getPropertyValue("--rp-bg").trim(), bordercolor: grid, font: { ...font, color: base.color } },
    xaxis: { ...axis, type: wall ? "date" : "linear", showgrid: false, showline: true, nticks: wall ? 5 : 7, range: window,
      hoverformat: wall ? "%Y-%m-%d %H:%M:%S" : ",.7~r", tickformat: wall ? dateFormat(window) : large(window) ? (window[1] - window[0] < 1e-3 * window[1] ? ",d" : "~s") : "",
      showspikes: true, spikemode: "across", spikedash: "solid", spikethickness: -2, spikecolor: axisLine,
      unifiedhovertitle: { text: `${name || entry.axis.replace("counter ", "")} %{x${wall ? "" : ":,.7~r"}}` } },
    yaxis: { ...axis, showline: false, nticks: 6, dtick: decades(log, y), type: log ? "log" : "linear", range: [...y], fixedrange: true,
      ticklabelstandoff: 6, hoverformat: !log && large(y) ? ".4~s" : ".5~g", tickformat: !log && large(y) ? "~s" : "" },
    ...(entry.layout.yaxis2 ? { yaxis2: entry.layout.yaxis2 } : {}),
    shapes: bands, annotations: [...notes, ...lastValues(chart, view, place, to, window, log)],
  };
  const since = wall ? `, from ${new Date(window[0]).toISOString().slice(0, 16).replace("T", " ")}` : "";
  return { data, layout, over: kind === "step" ? "" : `over ${name || entry.axis.replace("counter ", "")}${since}` };
}
