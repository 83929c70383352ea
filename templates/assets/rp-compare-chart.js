// One chart of several runs as SVG: text keeps its size, lines are stretched, colours come from rp.css.
// A pointer or the arrow keys read values off; dragging chooses a window for all charts.
// @ts-check
import { drawn, style, swatch } from "./rp-compare-sheet.js";
import { element } from "./rp-tools.js";
import { number } from "./rp-units.js";

/** @typedef {{side: number, name: string, x: number[], y: (number | null)[]}} Line */
/** @typedef {{title: string, unit: string, note: string, key: {side: number, name: string}[], lines: Line[], log: boolean, zero: boolean, wide: boolean}} Chart */
/** @typedef {[number, number]} Range */

const READ = 12;

/** At most about `most` round numbers. @param {Range} range @param {number} most */
function ticks([low, high], most) {
  const raw = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 2.5, 5, 10].find((n) => n * power >= raw) ?? 10);
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

/** @param {Range} range of logarithms */
function logTicks([low, high]) {
  const marks = high - low > 2.5 ? [1] : high - low > 0.9 ? [1, 2, 5] : null;
  if (!marks) return ticks([10 ** low, 10 ** high], 5).filter((v) => v > 0);
  const out = [];
  for (let p = Math.floor(low); p <= high; p++) for (const m of marks) if (Math.log10(m) + p >= low && Math.log10(m) + p <= high) out.push(m * 10 ** p);
  return out;
}

const SI = /** @type {[number, string][]} */ ([[1e21, "Z"], [1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]);

/** @param {number} value */
export function tick(value) {
  const size = Math.abs(value);
  const found = size >= 10_000 ? SI.find(([unit]) => size >= unit) : undefined;
  if (found) return `${Number((value / found[0]).toPrecision(4))}${found[1]}`.replace("-", "−");
  return size && size < 1e-3 ? number(value, 2) : String(Number(value.toPrecision(6))).replace("-", "−");
}

/** The range of y; what an early or lone excess would add is left out and said.
 * @param {Chart} chart @param {Range} window @returns {{range: Range, cut: number | null}} */
function reach(chart, [a, b]) {
  const values = chart.lines.flatMap(({ x, y }) => y.filter((v, i) => v !== null && x[i] >= a && x[i] <= b && (!chart.log || v > 0)));
  const found = /** @type {number[]} */ (values).map((v) => (chart.log ? Math.log10(v) : v)).sort((p, q) => p - q);
  if (!found.length) return { range: [0, 1], cut: null };
  let [low, high] = [found[0], found[found.length - 1]];
  const q = found[Math.floor(0.92 * (found.length - 1))];
  const cut = !chart.log && !chart.zero && high - low > 3 * (q - low) && q > low;
  if (cut) high = q + 0.25 * (q - low);
  if (chart.zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  const pad = 0.06 * (high - low) || 0.05 * Math.abs(high) || 1;
  return { range: [low - pad, high + pad], cut: cut ? high + pad : null };
}

/** @param {Line} line @param {(v: number) => number} px @param {(v: number) => number} py @param {boolean} log */
function path({ x, y }, px, py, log) {
  let out = "";
  let pen = "M";
  for (let i = 0; i < x.length; i++) {
    const v = y[i];
    if (v === null || (log && v <= 0) || !Number.isFinite(x[i])) { pen = "M"; continue; }
    out += `${pen}${px(x[i]).toFixed(1)} ${py(log ? Math.log10(v) : v).toFixed(1)}`;
    pen = "L";
  }
  return out;
}

/** Number of the row of x nearest to v. @param {number[]} x @param {number} v */
function nearest(x, v) {
  let [low, high] = [0, x.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= v) low = middle;
    else high = middle;
  }
  return Math.abs(x[high] - v) < Math.abs(x[low] - v) ? high : low;
}

/** @param {Chart} chart @param {Range} window @param {{axis: (v: number) => string, over: string, zoom: (range: Range) => void, reset: () => void}} page */
export function draw(chart, window, page) {
  const [a, b] = window;
  const { range, cut } = reach(chart, window);
  const px = (/** @type {number} */ v) => (1000 * (v - a)) / (b - a || 1);
  const py = (/** @type {number} */ v) => 1000 - (1000 * (v - range[0])) / (range[1] - range[0]);
  const at = (/** @type {number} */ v) => `${(py(chart.log ? Math.log10(v) : v) / 10).toFixed(2)}%`;
  const grid = (chart.log ? logTicks(range) : ticks(range, 5)).flatMap((v) => [
    drawn("line", { class: "grid", x1: 0, x2: "100%", y1: at(v), y2: at(v) }), drawn("text", { x: -8, y: at(v), dy: ".35em", "text-anchor": "end" }, [tick(v)])]);
  const below = ticks(window, 5).map((v) => { const share = px(v) / 10; return drawn("text", { x: `${share.toFixed(2)}%`, y: "100%", dy: "1.35em", "text-anchor": share < 4 ? "start" : share > 96 ? "end" : "middle" }, [page.axis(v)]); });
  const order = [...chart.lines].sort((p, q) => q.side - p.side); // the base on top: through its dashes an equal curve is seen, behind one it is not
  const lines = order.map((line) => drawn("path", { class: style(line.side), "data-side": line.side, d: path(line, px, py, chart.log) }));
  const inner = drawn("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", width: "100%", height: "100%", class: "rp-clip" }, lines);
  const cursor = drawn("line", { class: "axis", y1: 0, y2: "100%", visibility: "hidden" });
  const picked = drawn("rect", { class: "rp-picked", y: 0, height: "100%", visibility: "hidden" });
  const zero = chart.zero ? [drawn("line", { class: "axis", x1: 0, x2: "100%", y1: at(0), y2: at(0) })] : [];
  const svg = drawn("svg", { role: "img", "aria-label": `${chart.title} ${page.over} of ${chart.lines.map((l) => l.name).slice(0, 12).join(", ")}`, class: "rp-svg" },
    [...grid, ...zero, drawn("line", { class: "axis", x1: 0, x2: "100%", y1: "100%", y2: "100%" }), ...below, inner, picked, cursor]);
  const readout = element("div", { className: "rp-readout", hidden: true });
  const plot = element("div", { className: "rp-plot" }, [svg]);
  const notes = [chart.unit, page.over, chart.log ? "log scale" : "", cut === null ? "" : `values above ${number(cut, 3)} leave the frame`, chart.note].filter(Boolean);
  const figure = element("figure", { className: `rp-chart${chart.wide ? " rp-chart--wide" : ""}`, tabIndex: 0 }, [
    element("figcaption", {}, [element("b", { textContent: chart.title }), element("span", { textContent: notes.join(" · ") }),
      element("span", { className: "rp-key" }, chart.key.map(({ side, name }) => element("span", { title: name }, [swatch(side), name])))]), plot, readout]);
  listen({ chart, figure, svg, cursor, picked, readout, window, page });
  return figure;
}

/** @param {any} parts of a drawn chart */
function listen({ chart, figure, svg, cursor, picked, readout, window: [a, b], page }) {
  let [from, share] = [-1, 0.5];
  const placed = (/** @type {PointerEvent} */ event) => {
    const box = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const hide = () => { readout.hidden = true; cursor.setAttribute("visibility", "hidden"); };
  const show = () => {
    const v = a + share * (b - a);
    cursor.setAttribute("x1", `${100 * share}%`);
    cursor.setAttribute("x2", `${100 * share}%`);
    cursor.setAttribute("visibility", "visible");
    const told = chart.lines.flatMap((/** @type {Line} */ line) => {
      const i = nearest(line.x, v);
      const beyond = v < line.x[0] - 0.01 * (b - a) || v > line.x[line.x.length - 1] + 0.01 * (b - a);
      return beyond || line.y[i] === null ? [] : [element("div", {}, [swatch(line.side), element("span", { textContent: line.name }), element("b", { textContent: number(/** @type {number} */ (line.y[i]), 5) })])];
    });
    const more = told.length - READ;
    readout.replaceChildren(element("small", { textContent: `near ${page.over.replace(/^over /, "") || "step"} ${page.axis(Number(v.toPrecision(4)))}` }), ...told.slice(0, READ), ...(more > 0 ? [element("small", { textContent: `and ${more} more` })] : []));
    readout.style.left = share < 0.5 ? `calc(2.9rem + (100% - 2.8rem) * ${share})` : "";
    readout.style.right = share < 0.5 ? "" : `calc(.5rem + (100% - 2.8rem) * ${1 - share})`;
    readout.hidden = false;
  };
  svg.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    share = placed(event);
    show();
    if (from < 0) return;
    picked.setAttribute("x", `${100 * Math.min(from, share)}%`);
    picked.setAttribute("width", `${100 * Math.abs(from - share)}%`);
    picked.setAttribute("visibility", "visible");
  });
  svg.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    if (event.pointerType !== "mouse" || event.button) return; // a finger scrolls the page
    from = placed(event);
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  svg.addEventListener("pointerup", () => {
    const ends = [Math.min(from, share), Math.max(from, share)];
    picked.setAttribute("visibility", "hidden");
    const wide = from >= 0 && ends[1] - ends[0] > 0.02;
    from = -1;
    if (wide) page.zoom([a + ends[0] * (b - a), a + ends[1] * (b - a)]);
  });
  svg.addEventListener("dblclick", () => page.reset());
  svg.addEventListener("pointerleave", hide);
  figure.addEventListener("blur", hide);
  figure.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (!step) return;
    event.preventDefault();
    share = Math.min(1, Math.max(0, share + step));
    show();
  });
}
