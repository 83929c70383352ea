// The charts of a comparison: every run's curves on one axis, with the controls above them.
// @ts-check
import { Axes, interpolated, unitOf } from "./rp-axes.js";
import { draw, tick } from "./rp-compare-chart.js";
import { smoothed } from "./rp-draw.js";
import { decoded } from "./rp-files.js";
import { choice, element } from "./rp-tools.js";
import { count } from "./rp-units.js";

/** @typedef {import("./rp-compare-data.js").Side} Side */
/** @typedef {import("./rp-compare-chart.js").Line} Line */
/** @typedef {import("./rp-compare-chart.js").Range} Range */
/** @typedef {"step" | "tokens" | "elapsed" | "flop" | "usd"} Ax */
/** @typedef {{ax: Ax, sm: number, y: "" | "log" | "linear", show: "" | "delta", x: Range | null}} View */
/** @typedef {{key: string, title: string, unit: string, lines: Line[], note: string}} Curves */

const FIRST = ["val_loss", "loss"];
const LAST = ["grad_norm", "lr", "tokens_per_second", "step_seconds"];
const MOST = 12;
const KEYED = 5; // sides that each chart names; the legend on top names all
const LOG = 50; // as charts_plan.py: from this ratio of the usually largest to the usually smallest on
const OVER = { step: "", tokens: "over tokens", elapsed: "over elapsed time", flop: "over training FLOP (6 N D)", usd: "over cost in USD" };
const EVEN = "Each run's cost, spread evenly over its elapsed time";

/** A figure of the run; 0 where it is not known. @param {any} run @param {string} name */
const spent = (run, name) => Number(run.figures[name]?.[0] ?? 0);

/** Why a run has no such axis; empty where it has. @param {any} run @param {Ax} ax */
function lacking(run, ax) {
  if (ax === "tokens" || ax === "flop") {
    if (!run.axes.tokens) return run.axes.why.tokens ?? "no metric counts tokens";
    return ax === "flop" && !run.flop_per_token ? "number of parameters or tokens not known" : "";
  }
  if (ax === "usd" && !spent(run, "usd")) return run.figures.usd.why ?? "it cost nothing";
  return (ax === "elapsed" || ax === "usd") && !(run.axes.clock && spent(run, "elapsed_seconds")) ? run.axes.why.time ?? "no clock in the log" : "";
}

/** @param {any} run @param {number[]} steps @param {Ax} ax */
function placed(run, steps, ax) {
  if (ax === "step") return steps;
  const axes = new Axes(run.axes);
  if (ax === "flop") return steps.map((step) => axes.fromStep(step, "tokens") * run.flop_per_token);
  if (ax === "usd") return steps.map((step) => axes.fromStep(step, "elapsed") * (spent(run, "usd") / spent(run, "elapsed_seconds")));
  return steps.map((step) => axes.fromStep(step, ax));
}

/** @param {Side[]} sides @param {View} view @returns {Curves[]} */
function aligned(sides, view) {
  /** @type {Map<string, Curves & {names: Map<string, string[]>}>} */
  const charts = new Map();
  sides.forEach((side, number) => {
    for (const run of side.runs) {
      if (lacking(run, view.ax)) continue;
      for (const curve of run.curves) {
        const { key, title, unit } = curve;
        const chart = charts.get(key) ?? { key, title, unit, lines: /** @type {Line[]} */ ([]), note: "", names: /** @type {Map<string, string[]>} */ (new Map()) };
        const { x, y } = decoded(curve);
        chart.lines.push({ side: number, name: side.isGroup ? `${side.name}: ${run.name}` : side.name, x: placed(run, x, view.ax), y: view.sm ? smoothed(y, view.sm) : y });
        chart.names.set(curve.name, [...(chart.names.get(curve.name) ?? []), side.name]);
        charts.set(key, chart);
      }
    }
  });
  for (const chart of charts.values()) {
    if (chart.names.size > 1) chart.note = [...chart.names].map(([name, who]) => `${name} of ${[...new Set(who)].slice(0, 3).join(", ")}${who.length > 3 ? "…" : ""}`).join("; ");
    else if (FIRST.includes(chart.key) || LAST.includes(chart.key)) chart.note = [...chart.names.keys()][0];
  }
  const rank = (/** @type {Curves} */ { key }) => (FIRST.includes(key) ? FIRST.indexOf(key) : LAST.includes(key) ? 100 + LAST.indexOf(key) : 50);
  return [...charts.values()].sort((a, b) => rank(a) - rank(b));
}

/** Each line minus the base's at the same x (the mean of its runs where it is a set). @param {Line[]} lines @returns {Line[]} */
function toBase(lines) {
  const base = lines.filter((l) => l.side === 0).map((l) => {
    const rows = l.x.map((_, i) => i).filter((i) => l.y[i] !== null && Number.isFinite(l.x[i]));
    return { x: rows.map((i) => l.x[i]), y: rows.map((i) => /** @type {number} */ (l.y[i])) };
  }).filter((l) => l.x.length > 1);
  if (!base.length) return [];
  const [first, last] = [Math.max(...base.map((l) => l.x[0])), Math.min(...base.map((l) => l.x[l.x.length - 1]))];
  return lines.filter((l) => l.side).map((l) => ({ ...l, y: l.y.map((v, i) => {
    if (v === null || !(l.x[i] >= first && l.x[i] <= last)) return null;
    return v - base.reduce((sum, b) => sum + interpolated(b.x, b.y, l.x[i]), 0) / base.length;
  }) }));
}

/** @param {Curves} chart @param {View} view */
function isLog({ key, lines }, view) {
  if (view.show === "delta" || view.y === "linear") return false;
  const values = /** @type {number[]} */ (lines.flatMap((l) => l.y.filter((v) => v !== null))).sort((a, b) => a - b);
  if (!values.length || values[0] <= 0) return false;
  if (view.y === "log") return true;
  return key !== "lr" && values[Math.floor(0.95 * values.length)] / values[Math.floor(0.05 * values.length)] > LOG;
}

/** How numbers of the axis are told. @param {Ax} ax @param {number} longest */
function axisWords(ax, longest) {
  if (ax !== "elapsed") return { words: (/** @type {number} */ v) => tick(v), over: OVER[ax] };
  const unit = unitOf(longest);
  return { words: (/** @type {number} */ v) => tick(Number((v / unit.seconds).toPrecision(6))), over: `over ${unit.name}` };
}

/** @param {Side[]} sides @param {View} view @param {(change: Partial<View>) => void} change @returns {HTMLElement} */
export function grid(sides, view, change) {
  const delta = view.show === "delta";
  const charts = aligned(sides, view).map((chart) => (delta ? { ...chart, lines: toBase(chart.lines) } : chart)).filter((chart) => chart.lines.length);
  const ends = charts.flatMap((c) => c.lines.flatMap((l) => l.x.filter((v, i) => Number.isFinite(v) && (!delta || l.y[i] !== null))));
  if (!ends.length) return element("p", {}, [element("span", { className: "rp-na", textContent: delta ? "the base has no curve to take a difference from" : "no curve of any of the runs has this axis" })]);
  let [low, high] = [Infinity, -Infinity];
  for (const v of ends) { low = Math.min(low, v); high = Math.max(high, v); }
  const { words, over } = axisWords(view.ax, high - low);
  const page = { axis: words, over, zoom: (/** @type {Range} */ x) => change({ x }), reset: () => change({ x: null }) };
  const made = charts.slice(0, MOST).map((chart, i) => {
    const { lines } = chart;
    const log = isLog(chart, view);
    const key = sides.length > KEYED ? [] : sides.flatMap((s, side) => (lines.some((l) => l.side === side) ? [{ side, name: s.short }] : []));
    return draw({ title: delta ? `${chart.title}, difference to base` : chart.title, unit: chart.unit, note: chart.note, key, lines, log, zero: delta, wide: i === 0 }, view.x ?? [low, high], page);
  });
  const gone = sides.filter((s) => s.runs.some((r) => lacking(r, view.ax)));
  const remarks = gone.slice(0, 8).map((s) => `${s.name}: ${s.runs.map((r) => lacking(r, view.ax)).find(Boolean)}`);
  if (gone.length > 8) remarks.push(`and ${gone.length - 8} more`);
  if (charts.length > MOST) remarks.push(`${charts.length - MOST} further charts stand on the runs' pages`);
  return element("div", {}, [
    ...(remarks.length ? [element("p", { className: "rp-quiet", textContent: `Not drawn: ${remarks.join("; ")}` })] : []),
    element("div", { className: "rp-charts" }, made)]);
}

/** @param {Side[]} sides @param {View} view @param {(change: Partial<View>) => void} change */
export function tools(sides, view, change) {
  const runs = sides.flatMap((s) => s.runs);
  const why = (/** @type {Ax} */ ax) => (runs.every((r) => lacking(r, ax)) ? lacking(runs[0], ax) : undefined);
  const smooth = element("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: String(view.sm), oninput: () => {
    weight.textContent = Number(smooth.value).toFixed(2);
    change({ sm: Number(smooth.value) });
  } });
  smooth.setAttribute("aria-label", "Smoothing");
  const weight = element("output", { textContent: view.sm.toFixed(2) });
  const reset = element("button", { type: "button", textContent: "Show everything", onclick: () => change({ x: null }), hidden: !view.x });
  const x = choice("x", "rp-cmp-ax", [["step", "step"], ["tokens", "tokens", why("tokens")], ["elapsed", "elapsed", why("elapsed")], ["flop", "FLOP", why("flop")], ["usd", "cost", why("usd")]], (ax) => change({ ax, x: null }));
  const y = choice("y", "rp-cmp-y", [["", "auto"], ["linear", "linear"], ["log", "log"]], (to) => change({ y: to }));
  const show = choice("show", "rp-cmp-show", [["", "values"], ["delta", "difference to base"]], (to) => change({ show: to }));
  for (const [set, value] of /** @type {[HTMLElement, string][]} */ ([[x, view.ax], [y, view.y], [show, view.show]])) {
    for (const input of set.querySelectorAll("input")) input.checked = input.value === value;
  }
  x.querySelector("input[value=usd]:enabled")?.closest("label")?.setAttribute("title", EVEN);
  return { reset, bar: element("div", { className: "rp-tools rp-cmp-tools" }, [x, element("label", { title: "Exponential moving average of the points drawn, without the bias of its start" }, ["smooth ", smooth, weight]), y, show, reset]) };
}

/** @param {Side[]} sides */
export function width(sides) {
  const most = Math.max(1, ...sides.flatMap((s) => s.runs.flatMap((r) => r.curves.map((/** @type {any} */ c) => c.width))));
  return most > 1 ? `A point is the mean of up to ${count(most)} logged rows; the runs' own pages zoom to every row.` : "";
}
