// Makes the charts of a run page live when a reader touches one, and keeps them on one window. Until then,
// and wherever this cannot work, the page's own drawing stands.
// @ts-check
import { Axes } from "./rp-axes.js";
import { axisOf, drawing, fullOf, plotted } from "./rp-draw.js";
import { CHARTS, DETAIL, decoded, finer, forget, kept, refined, stored, thinned } from "./rp-files.js";
import { CONFIG, plotly } from "./rp-library.js";
import { start as showTools } from "./rp-tools.js";
import { plain, range, read, write } from "./rp-view.js";

/** @typedef {import("./rp-axes.js").Range} Range */
/** @typedef {import("./rp-draw.js").Chart} Chart */
/** @typedef {import("./rp-view.js").View} View */

const FIGURES = "figure.rp-chart[data-rp-src]";
/** Words of the button, its title, its key, and by which part of the window each end moves.
 * @type {[string, string, string, [number, number]][]} */
const MOVES = [
  ["\u2190", "Earlier", "ArrowLeft", [-0.25, -0.25]],
  ["\u2212", "Zoom out", "-", [-0.5, 0.5]],
  ["+", "Zoom in", "+", [0.25, -0.25]],
  ["\u2192", "Later", "ArrowRight", [0.25, 0.25]],
];

/** The charts of one page, from its coming to its going. */
export class Charts {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.signal = signal;
    /** What x counts in the drawings. @type {import("./rp-axes.js").Axis} */
    this.home = document.querySelector(".rp-tools[data-no-step]") ? "elapsed" : "step";
    this.view = read(location.search, this.home);
    /** @type {Map<HTMLElement, Chart | "loading">} */
    this.charts = new Map();
    /** @type {((view: View) => void)[]} called when the view has changed */
    this.watchers = [];
    /** @type {IntersectionObserver | undefined} */
    this.seen = undefined;
    this.source = new URL(/** @type {HTMLElement} */ (document.querySelector("[data-rp-src]")).dataset.rpSrc ?? "", document.baseURI).href;
    /** @type {any} charts.json, once it is here */
    this.file = undefined;
    /** @type {Axes | undefined} */
    this.axes = undefined;
    this.frame = 0;
  }

  /** What holds for all charts of the run: charts.json. */
  main() {
    return stored(this.source, CHARTS).then((file) => {
      this.file = file;
      this.axes ??= new Axes(file.axes);
      if (!this.axes.has(this.view.ax)) {
        Object.assign(this.view, { ax: this.home, x: null });
        this.watchers.forEach((watch) => watch(this.view));
      }
      return file;
    });
  }

  /** @returns {Chart[]} */
  live() {
    return /** @type {Chart[]} */ ([...this.charts.values()].filter((c) => c !== "loading"));
  }

  /** @param {HTMLElement} figure */
  async upgrade(figure) {
    if (this.charts.has(figure)) return;
    this.charts.set(figure, "loading");
    try {
      const url = new URL(figure.dataset.rpSrc ?? "", document.baseURI).href;
      const [file] = await Promise.all([stored(url, CHARTS), this.main(), plotly()]);
      if (this.signal.aborted || !figure.isConnected || this.charts.get(figure) !== "loading") return;
      const chart = this.made(figure, file.charts.find((/** @type {any} */ c) => c.id === figure.dataset.rpChart));
      this.charts.set(figure, chart);
      await this.paint(chart);
      if (this.charts.get(figure) !== chart) return;
      chart.gd.on("plotly_relayout", () => this.moved(chart));
      chart.gd.on("plotly_doubleclick", () => this.reset(chart));
      figure.querySelector(".rp-failed")?.remove();
      this.bar(chart);
      await this.refine(chart);
    } catch (error) {
      if (this.signal.aborted) return;
      console.warn(error);
      this.restore(figure);
      if (figure.querySelector(".rp-failed")) return;
      const note = document.createElement("span");
      note.className = "rp-quiet rp-failed";
      note.textContent = "The interactive chart could not be loaded.";
      figure.querySelector("figcaption")?.append(note);
    }
  }

  /** @param {HTMLElement} figure @param {any} entry @returns {Chart} */
  made(figure, entry) {
    const plot = /** @type {HTMLElement} */ (figure.querySelector(".rp-plot"));
    const svg = /** @type {SVGElement} */ (plot.querySelector("svg"));
    const gd = document.createElement("div");
    gd.className = "rp-live";
    gd.setAttribute("role", "group");
    gd.setAttribute("aria-label", svg.getAttribute("aria-label") ?? "chart");
    figure.append(gd); // not inside .rp-plot, whose rules for paths and texts would hit Plotly's own
    figure.classList.add("rp-chart--live");
    const traces = entry.data.map(decoded);
    const chart = { figure, plot, svg, gd, entry, coarse: traces, traces, own: null,
      over: figure.querySelector(".rp-over")?.textContent ?? "", shown: /** @type {Range} */ ([0, 1]) };
    place(chart);
    return chart;
  }

  /** The chart's window in units of its axis: the reader's, or everything. @param {Chart} chart @returns {Range} */
  window(chart) {
    const full = this.full(chart);
    const shown = axisOf(chart, this.view.ax);
    const own = shown ? this.view.x && this.axes?.window(this.view.x, this.view.ax, shown) : chart.own;
    if (!own) return full;
    const least = own[1] - own[0] < 1e-9 * Math.abs(own[1]) + 1e-9 ? Math.max(1, 0.01 * (full[1] - full[0])) : 0;
    return [own[0] - least, own[1] + least];
  }

  /** Times are drawn from the first to the last of all charts. @param {Chart} chart @returns {Range} */
  full(chart) {
    const axes = /** @type {Axes} */ (this.axes);
    const shown = axisOf(chart, this.view.ax);
    const own = fullOf(chart, axes, this.view.ax);
    if (shown !== this.view.ax || shown === "step" || shown === "tokens") return own;
    const ends = [own, ...this.file.charts.filter((/** @type {any} */ entry) => axisOf(/** @type {any} */ ({ entry }), shown) === shown)
      .map((/** @type {any} */ entry) => fullOf(/** @type {any} */ ({ entry }), axes, shown))];
    return [Math.min(...ends.map(([a]) => a)), Math.max(...ends.map(([, b]) => b))];
  }

  /** @param {Chart} chart */
  async paint(chart) {
    const Plotly = await plotly();
    if (this.signal.aborted || !chart.gd.isConnected) return;
    chart.shown = this.window(chart);
    const siblings = await this.behind(chart);
    if (this.signal.aborted || !chart.gd.isConnected) return;
    const { data, layout, over } = drawing(chart, this.view, /** @type {Axes} */ (this.axes), this.full(chart), chart.shown, siblings);
    const words = chart.figure.querySelector(".rp-over");
    if (words) words.textContent = over;
    place(chart);
    await Plotly.react(chart.gd, data, layout, CONFIG);
  }

  /** The other runs of the group, where the page names one. */
  async family() {
    const { group } = /** @type {HTMLElement} */ (document.querySelector(".rp-tools")).dataset;
    const [{ family }] = await Promise.all([import("./rp-siblings.js"), this.main()]);
    return family(this.source, group ?? "", this.file.slug);
  }

  /** Curves of siblings, while the reader wants them; none where they cannot be had: the control says so. @param {Chart} chart */
  async behind(chart) {
    if (!this.view.sib || chart.entry.axis !== "step") return [];
    const { behind } = await import("./rp-siblings.js");
    return this.family().then((family) => behind(family, chart.coarse), () => []);
  }

  paintAll() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.live().forEach((chart) => this.paint(chart)));
  }

  /** The chart's window in steps, where finer levels can show more of it. @param {Chart} chart */
  steps(chart) {
    const shown = axisOf(chart, this.view.ax);
    const finerThere = chart.entry.axis === "step" && shown && this.view.x;
    return finerThere ? this.axes?.window(this.window(chart), shown, "step") ?? null : null;
  }

  /** Whether the site keeps finer levels of this run: a page is the same with and without. */
  kept() {
    return kept(this.source, this.file.slug);
  }

  /** Exchanges what is in the window for a finer level, where there is one. @param {Chart} chart */
  async refine(chart) {
    const steps = this.steps(chart);
    const under = steps ? finer(this.file.detail, ...steps) : [];
    const files = under.length && await this.kept() ? under : [];
    const answers = await Promise.allSettled(files.map(([name]) => stored(new URL(name, this.source).href, DETAIL)));
    if (this.signal.aborted || !chart.gd.isConnected || String(this.steps(chart)) !== String(steps)) return;
    let traces = chart.coarse;
    answers.forEach((answer, i) => {
      const parts = answer.status === "fulfilled" ? answer.value.charts[chart.entry.id] : null;
      if (!parts) return; // the coarse level stands
      const [, from, to] = files[i];
      traces = traces.map((t) => (parts[t.key] ? refined(t, decoded(parts[t.key]), from, to) : t));
    });
    if (steps && traces !== chart.coarse) {
      const limit = Math.max(60, Math.round(chart.plot.clientWidth / 4));
      const alone = (chart.entry.layout.shapes ?? []).map((/** @type {any} */ s) => [s.x0 - 2, Math.min(s.x1, s.x0 + 40) + 2]);
      traces = traces.map((t) => (t.key[0] === "c" ? thinned(t, ...steps, limit, alone) : t));
    }
    if (traces === chart.traces) return;
    chart.traces = traces;
    await this.paint(chart);
  }

  /** The reader dragged. @param {Chart} chart */
  moved(chart) {
    const full = this.full(chart);
    const shown = axisOf(chart, this.view.ax);
    const { from } = plotted(shown, full);
    const now = /** @type {Range} */ (chart.gd.layout.xaxis.range.map(from));
    if (same(now, chart.shown, full)) return;
    this.zoom(chart, same(now, full, full) ? null : now);
  }

  /** @param {Chart} chart @param {Range | null} window in units of the chart's axis */
  zoom(chart, window) {
    const shown = axisOf(chart, this.view.ax);
    const x = window && shown ? this.axes?.window(window, shown, this.view.ax) ?? null : null;
    if (shown && (x || !window)) this.change({ x });
    else {
      chart.own = window;
      this.paint(chart);
    }
  }

  /** @param {Chart} chart */
  reset(chart) {
    this.zoom(chart, null);
  }

  /** What the reader chose anew; the address tells it, and all charts follow. @param {Partial<View>} change @param {string} [hash] */
  change(change, hash) {
    const before = this.view.ax;
    Object.assign(this.view, change);
    if (this.view.ax !== before && this.view.x && !change.x) {
      this.view.x = this.axes?.window(this.view.x, before, this.view.ax) ?? null;
    }
    write(this.view, this.home, hash);
    this.watchers.forEach((watch) => watch(this.view));
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.live().forEach(async (chart) => {
      await this.paint(chart);
      await this.refine(chart);
    }));
    this.follow();
  }

  /** While the view is not that of the drawings, every chart that is seen is live. */
  follow() {
    this.seen?.disconnect();
    if (plain(this.view, this.home)) return;
    this.seen = new IntersectionObserver((entries) => {
      entries.forEach((e) => e.isIntersecting && this.upgrade(/** @type {HTMLElement} */ (e.target)));
    });
    document.querySelectorAll(FIGURES).forEach((figure) => this.seen?.observe(figure));
  }

  /** A finding, given in steps, in the reader's axis. @param {Range} steps */
  async find(steps) {
    const pad = 0.05 * (steps[1] - steps[0]);
    /** @type {Range} */ const around = [steps[0] - pad, steps[1] + pad];
    /** @type {Range | null} */ let x = around;
    const { ax } = this.view;
    if (ax !== "step") {
      const { charts } = await this.main();
      const times = ax === "tokens" ? null : timesOf(charts, steps);
      const start = ax === "wall" ? this.axes?.axes.start : 0;
      x = times ? [times[0] + start, times[1] + start] : this.axes?.window(around, "step", ax) ?? null;
    }
    this.change({ x }, "#curves");
    document.getElementById("curves")?.scrollIntoView();
  }

  /** @param {Chart} chart @param {[number, number]} by parts of the window */
  move(chart, by) {
    const [a, b] = chart.shown;
    const full = this.full(chart);
    const next = /** @type {Range} */ ([Math.max(full[0], a + by[0] * (b - a)), Math.min(full[1], b + by[1] * (b - a))]);
    if (next[1] > next[0]) this.zoom(chart, same(next, full, full) ? null : next);
  }

  /** Buttons for a live chart. @param {Chart} chart */
  bar(chart) {
    const bar = document.createElement("div");
    bar.className = "rp-save";
    const does = /** @type {[string, string, () => void][]} */ ([
      ...MOVES.map(([words, title, , by]) => [words, title, () => this.move(chart, by)]),
      ["Reset", "Show everything", () => this.reset(chart)],
      ...["CSV", "PNG", "SVG"].map((kind) => [kind, `Download as ${kind}`, () => this.save(chart, kind)]),
    ]);
    for (const [words, title, act] of does) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: words, title, onclick: act });
      bar.append(button);
    }
    chart.figure.append(bar);
  }

  /** @param {Chart} chart @param {string} kind */
  async save(chart, kind) {
    const { save } = await import("./rp-save.js");
    await save(chart, kind, this.file.slug, /** @type {Axes} */ (this.axes), this.view);
  }

  /** Gives the static chart back. @param {HTMLElement} figure */
  restore(figure) {
    const chart = this.charts.get(figure);
    this.charts.delete(figure);
    figure.classList.remove("rp-chart--live");
    figure.querySelector(".rp-save")?.remove();
    if (!chart || chart === "loading") return;
    /** @type {any} */ (window).Plotly.purge(chart.gd);
    chart.gd.remove();
    const words = figure.querySelector(".rp-over");
    if (words) words.textContent = chart.over;
  }

  restoreAll() {
    [...this.charts.keys()].forEach((figure) => this.restore(figure));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const figure = event.target instanceof HTMLElement && event.target.matches(FIGURES) ? event.target : null;
    const chart = figure ? this.charts.get(figure) : null;
    if (!chart || chart === "loading" || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES.find(([, , key]) => key === (event.key === "=" ? "+" : event.key));
    if (event.key === "Escape" || event.key === "0") this.reset(chart);
    else if (move) this.move(chart, move[3]);
    else return;
    event.preventDefault();
  }
}

/** @param {Range} a @param {Range} b @param {Range} full */
const same = (a, b, full) => a.every((v, i) => Math.abs(v - b[i]) <= 1e-6 * (full[1] - full[0]));

/** When a finding of these steps was, as its band in some chart says. @param {any[]} charts @param {Range} steps @returns {Range | null} */
function timesOf(charts, steps) {
  for (const { layout, times } of charts) {
    const at = (layout.shapes ?? []).findIndex((/** @type {any} */ s) => s.x0 === steps[0] && (s.x1 === steps[1] || s.x1 < steps[1]));
    if (at >= 0 && times[at]) return times[at];
  }
  return null;
}

/** Lays the live chart exactly over the static one. @param {{gd: any, plot: HTMLElement}} chart */
function place({ gd, plot }) {
  gd.style.top = `${plot.offsetTop}px`;
  gd.style.height = `${plot.offsetHeight}px`;
}

/** @param {AbortSignal} signal */
export function start(signal) {
  const page = new Charts(signal);
  const figureOf = (/** @type {EventTarget | null} */ target) => (target instanceof Element ? target.closest(FIGURES) : null);
  const touched = (/** @type {Event} */ event) => {
    const figure = figureOf(event.target);
    if (figure) page.upgrade(/** @type {HTMLElement} */ (figure));
  };
  for (const name of ["pointerover", "focusin", "touchstart", "click"]) {
    document.addEventListener(name, touched, { signal, passive: true });
  }
  document.addEventListener("keydown", (event) => page.key(event), { signal });
  // "Show in the curves", before Material sees the click
  document.addEventListener("click", (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a.rp-zoom") : null;
    const steps = link instanceof HTMLAnchorElement ? range(new URLSearchParams(link.search).get("x")) : null;
    if (!steps) return;
    event.preventDefault();
    event.stopPropagation();
    page.find(steps);
  }, { signal, capture: true });
  addEventListener("resize", () => page.live().forEach(place), { signal }); // before Plotly's own, which waits
  addEventListener("beforeprint", () => page.restoreAll(), { signal });
  addEventListener("afterprint", () => page.follow(), { signal });
  const palette = new MutationObserver(() => page.paintAll());
  palette.observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
  signal.addEventListener("abort", () => {
    palette.disconnect();
    page.seen?.disconnect();
    page.restoreAll();
    forget();
  });
  const figures = document.querySelectorAll(FIGURES);
  // The keyboard reaches a chart, and focus makes it live.
  figures.forEach((figure) => { /** @type {HTMLElement} */ (figure).tabIndex = 0; });
  const tools = document.querySelector(".rp-tools");
  if (tools) showTools(/** @type {HTMLElement} */ (tools), page);
  const index = /** @type {HTMLDetailsElement | null} */ (document.querySelector("details.rp-metrics"));
  const openIndex = () => import("./rp-metrics.js").then((part) => { if (index && !signal.aborted) part.start(index, page); });
  if (index && page.view.m.length) openIndex();
  else index?.addEventListener("toggle", openIndex, { once: true, signal });
  page.follow();
  document.querySelectorAll(`${FIGURES}:is(:hover, :focus-within)`).forEach((figure) =>
    page.upgrade(/** @type {HTMLElement} */ (figure))); // touched before this came
}
