// runpages: makes the charts of a run page live when a reader touches one. Until then, and wherever
// this script cannot work, the page's own SVG stands. Colours are read from rp.css at run time.
// @ts-check

(() => {
  "use strict";

  /** @typedef {[number, number]} Range */
  /** @typedef {{x: (number|null)[], y: (number|null)[], mode: string, meta: string, fill?: string, name?: string, yaxis?: string, text?: string[]}} Trace */
  /** @typedef {{figure: HTMLElement, plot: HTMLElement, svg: SVGElement, gd: any, traces: Trace[], layout: any,
   *   axis: string, full: Range, view: Range}} Live */

  const SCHEMA = "runpages.charts/1";
  const FIGURES = "figure.rp-chart[data-rp-src]";
  const STEP = "step";
  const own = /** @type {HTMLScriptElement} */ (document.currentScript);
  const BUNDLE = new URL("plotly.min.js", own.src).href;

  /** Promises by URL, dropped on failure so that the next touch tries again. @type {Map<string, Promise<any>>} */
  const loaded = new Map();
  /** @type {Map<HTMLElement, Live | "loading">} */
  const charts = new Map();
  /** The reader's window of each kind of x axis. @type {Map<string, Range>} */
  const zooms = new Map();
  let page = new AbortController();
  /** @type {IntersectionObserver | undefined} */
  let seen;

  /** @param {string} url @param {() => Promise<any>} load */
  function once(url, load) {
    const known = loaded.get(url);
    if (known) return known;
    const promise = load();
    promise.catch(() => loaded.delete(url));
    loaded.set(url, promise);
    return promise;
  }

  function plotly() {
    return once(BUNDLE, () => new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = BUNDLE;
      script.onload = () => {
        // Instant navigation empties the head of what the next page lacks: keep the bundle's rules.
        const rules = [...document.head.querySelectorAll('style[id^="plotly"]')].flatMap((s) =>
          [.../** @type {HTMLStyleElement} */ (s).sheet?.cssRules ?? []].map((r) => r.cssText));
        const style = document.createElement("style");
        style.textContent = rules.join("\n");
        document.body.append(style);
        resolve(/** @type {any} */ (window).Plotly);
      };
      script.onerror = () => { script.remove(); reject(new Error("no chart library")); };
      document.head.append(script);
    }));
  }

  /** @param {string} url */
  function stored(url) {
    return once(url, async () => {
      const answer = await fetch(url);
      const data = answer.ok ? await answer.json() : {};
      if (data.schema !== SCHEMA) throw new Error("no chart data");
      return data.charts;
    });
  }

  /** x is stored as its start and differences. @param {any} entry @returns {Trace} */
  function decoded(entry) {
    let at = entry.x0;
    const x = entry.y.map((/** @type {any} */ _, /** @type {number} */ i) => (i ? (at += entry.dx[i - 1]) : at));
    return { ...entry, x };
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

  /** The values between a and b, with those that the line has at a and b. @param {Live} chart @param {Range} view */
  function visible(chart, [a, b]) {
    const out = [];
    for (const { x, y, meta } of chart.traces) {
      if (meta === "bad") continue;
      for (let i = 0; i < x.length; i++) {
        const [x0, y0, x1, y1] = [x[i], y[i], x[i + 1], y[i + 1]];
        if (x0 == null || y0 == null) continue;
        if (x0 >= a && x0 <= b) out.push(y0);
        if (x1 == null || y1 == null) continue;
        for (const edge of [a, b]) {
          if ((x0 - edge) * (x1 - edge) < 0) out.push(y0 + ((y1 - y0) * (edge - x0)) / (x1 - x0));
        }
      }
    }
    return out;
  }

  /** @param {Live} chart @returns {Range} */
  function yRange(chart) {
    const stands = chart.layout.yaxis;
    if (chart.view === chart.full) return stands.range;
    let values = visible(chart, chart.view);
    if (stands.type === "log") values = values.filter((v) => v > 0).map(Math.log10);
    if (!values.length) return stands.range;
    const low = values.reduce((m, v) => Math.min(m, v));
    const high = values.reduce((m, v) => Math.max(m, v));
    const pad = 0.06 * (high - low) || 0.05 * Math.abs(high) || 1;
    return [low - pad, high + pad];
  }

  /** Only powers of ten, at most five, where a log axis spans some. @param {Live} chart @param {Range} range */
  function decades({ layout }, [low, high]) {
    const whole = Math.floor(high) - Math.ceil(low) + 1;
    return layout.yaxis.type === "log" && whole >= 2 ? Math.ceil(whole / 5) : null;
  }

  /** A chart's window: the reader's zoom, or everything. @param {Live} chart @returns {Range} */
  function viewOf(chart) {
    const zoom = zooms.get(chart.axis);
    if (!zoom) return chart.full;
    const least = zoom[0] === zoom[1] ? Math.max(1, 0.01 * (chart.full[1] - chart.full[0])) : 0;
    return [zoom[0] - least, zoom[1] + least];
  }

  /** @param {Live} chart */
  function drawing(chart) {
    const { svg, traces, layout, full } = chart;
    const words = look(svg, "text", "");
    const grid = look(svg, "line", "grid").stroke;
    const axisLine = look(svg, "line", "axis").stroke;
    const base = getComputedStyle(chart.plot);
    const data = traces.map(({ x, y, mode, meta, fill, name, yaxis, text }) => {
      if (meta === "bad") {
        const { stroke, width } = look(svg, "line", "bad");
        const marker = { symbol: "line-ns", size: 14, color: stroke, line: { color: stroke, width } };
        return { type: "scatter", x, y, mode, name, yaxis, text, marker, hovertemplate: "%{text}<extra></extra>" };
      }
      const band = fill === "toself";
      const seenAs = look(svg, "path", meta);
      const color = band ? seenAs.fill : seenAs.stroke;
      const line = { color, width: band ? 0 : seenAs.width, dash: seenAs.dash, simplify: false };
      return { type: "scatter", x, y, mode, name, line, marker: { color, size: 5 }, fill: fill ?? "none",
        fillcolor: band ? seenAs.fill : undefined, opacity: seenAs.opacity, hoverinfo: band ? "skip" : "all" };
    });
    const shapes = (layout.shapes ?? []).map((/** @type {any} */ shape) => {
      const { fill, opacity } = look(svg, "rect", `ev ${shape.name}`);
      const thin = shape.x1 - shape.x0 < 0.003 * (full[1] - full[0]);
      return { ...shape, fillcolor: fill, opacity, line: { width: thin ? 3 : 0, color: fill } };
    });
    const font = { size: words.size, color: words.fill, family: base.fontFamily };
    const event = { ...font, color: look(svg, "text", "ev").fill };
    const axis = { gridcolor: grid, linecolor: axisLine, zeroline: false, title: { text: "" }, ticks: "",
      exponentformat: "e", separatethousands: true };
    const large = (/** @type {number[]} */ range) => Math.max(...range.map(Math.abs)) >= 10000;
    const anchor = (/** @type {number} */ at) => (at < 0.08 ? "left" : at > 0.92 ? "right" : "center");
    const linear = layout.yaxis.type !== "log";
    const shown = {
      margin: { l: parseFloat(base.paddingLeft), r: parseFloat(base.paddingRight), t: parseFloat(base.paddingTop),
        b: parseFloat(base.paddingBottom), pad: 0 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font, showlegend: false, hovermode: "x unified",
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
      hoverlabel: { namelength: -1, bgcolor: base.getPropertyValue("--rp-bg").trim(), bordercolor: grid, font: { ...font, color: base.color } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: words.fill, activecolor: base.color },
      xaxis: { ...axis, showgrid: false, showline: true, nticks: 7, range: [...full], hoverformat: ",.7~r",
        tickformat: large(full) ? "~s" : "", showspikes: true, spikemode: "across", spikedash: "solid", spikethickness: -2,
        spikecolor: axisLine, unifiedhovertitle: { text: `${chart.axis} %{x}` } },
      yaxis: { ...axis, showline: false, nticks: 6, dtick: decades(chart, layout.yaxis.range), type: layout.yaxis.type, range: [...layout.yaxis.range], fixedrange: true,
        ticklabelstandoff: 6, hoverformat: linear && large(layout.yaxis.range) ? ".4~s" : ".5~g",
        tickformat: linear && large(layout.yaxis.range) ? "~s" : "" },
      ...(layout.yaxis2 ? { yaxis2: layout.yaxis2 } : {}),
      shapes, annotations: (layout.annotations ?? []).map((/** @type {any} */ note) => ({ ...note, font: event,
        xanchor: anchor((note.x - full[0]) / (full[1] - full[0])) })),
    };
    return { data, layout: shown };
  }

  /** Lays the live chart exactly over the static one. @param {Live} chart */
  function place({ gd, plot }) {
    gd.style.top = `${plot.offsetTop}px`;
    gd.style.height = `${plot.offsetHeight}px`;
  }

  /** @param {HTMLElement} figure */
  async function upgrade(figure) {
    if (charts.has(figure)) return;
    const { signal } = page;
    charts.set(figure, "loading");
    try {
      const url = new URL(figure.dataset.rpSrc ?? "", document.baseURI).href;
      const [Plotly, all] = await Promise.all([plotly(), stored(url)]);
      if (signal.aborted || !figure.isConnected || charts.get(figure) !== "loading") return;
      const entry = all.find((/** @type {any} */ c) => c.id === figure.dataset.rpChart);
      const plot = /** @type {HTMLElement} */ (figure.querySelector(".rp-plot"));
      const svg = /** @type {SVGElement} */ (plot.querySelector("svg"));
      const { layout } = entry;
      const [low, high] = layout.xaxis.range;
      const gd = document.createElement("div");
      gd.className = "rp-live";
      gd.setAttribute("role", "group");
      gd.setAttribute("aria-label", svg.getAttribute("aria-label") ?? "chart");
      /** @type {Live} */
      const chart = { figure, plot, svg, gd, traces: entry.data.map(decoded), layout, axis: layout.xaxis.title.text,
        full: [low, high], view: [low, high] };
      chart.view = chart.full;
      figure.append(gd); // not inside .rp-plot, whose rules for paths and texts would hit Plotly's own
      figure.classList.add("rp-chart--live");
      place(chart);
      charts.set(figure, chart);
      const drawn = drawing(chart);
      await Plotly.newPlot(gd, drawn.data, drawn.layout, { displaylogo: false, responsive: true, showSendToCloud: false,
        plotlyServerURL: "", displayModeBar: "hover", doubleClick: false,
        modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"] });
      if (charts.get(figure) !== chart) return;
      gd.on("plotly_relayout", () => moved(chart));
      gd.on("plotly_doubleclick", () => zoomTo(chart.axis, null));
      figure.querySelector(".rp-failed")?.remove();
      await apply(chart);
    } catch (error) {
      if (signal.aborted) return;
      restore(figure);
      if (figure.querySelector(".rp-failed")) return;
      const note = document.createElement("span");
      note.className = "rp-quiet rp-failed";
      note.textContent = "The interactive chart could not be loaded.";
      figure.querySelector("figcaption")?.append(note);
    }
  }

  /** Gives the static chart back. @param {HTMLElement} figure */
  function restore(figure) {
    const chart = charts.get(figure);
    charts.delete(figure);
    figure.classList.remove("rp-chart--live");
    if (!chart || chart === "loading") return;
    /** @type {any} */ (window).Plotly.purge(chart.gd);
    chart.gd.remove();
  }

  /** @returns {Live[]} */
  const live = () => /** @type {Live[]} */ ([...charts.values()].filter((c) => c !== "loading"));

  /** @param {Range} a @param {Range} b @param {Range} full */
  const same = (a, b, full) => a.every((v, i) => Math.abs(v - b[i]) <= 1e-6 * (full[1] - full[0]));

  /** @param {Live} chart */
  async function apply(chart) {
    const view = viewOf(chart);
    if (same(view, chart.view, chart.full) && same(view, chart.gd.layout.xaxis.range, chart.full)) return;
    chart.view = view;
    const change = { "xaxis.range": [...view], "yaxis.range": [...yRange(chart)],
      "yaxis.dtick": decades(chart, yRange(chart)) };
    await /** @type {any} */ (window).Plotly.relayout(chart.gd, change);
  }

  /** The reader dragged, panned or used a button. @param {Live} chart */
  function moved(chart) {
    const range = /** @type {Range} */ (chart.gd.layout.xaxis.range.map(Number));
    if (same(range, chart.view, chart.full)) return;
    zoomTo(chart.axis, same(range, chart.full, chart.full) ? null : range);
  }

  /** All charts of one kind of axis move together; steps are kept in the address. @param {string} axis @param {Range | null} range */
  function zoomTo(axis, range, hash = location.hash) {
    if (range) zooms.set(axis, range);
    else zooms.delete(axis);
    if (axis === STEP) {
      const url = new URL(location.href);
      url.searchParams.delete("x");
      const rest = url.searchParams.toString();
      const x = range ? `x=${range.map((v) => Number(v.toPrecision(7))).join("..")}` : "";
      url.search = [rest, x].filter(Boolean).join("&");
      url.hash = hash;
      history.replaceState(history.state, "", url);
    }
    live().forEach(apply);
    follow();
  }

  /** While zoomed, every chart that is seen shows the window. */
  function follow() {
    seen?.disconnect();
    if (!zooms.has(STEP)) return;
    seen = new IntersectionObserver((entries) => {
      entries.forEach((e) => e.isIntersecting && upgrade(/** @type {HTMLElement} */ (e.target)));
    });
    document.querySelectorAll(FIGURES).forEach((figure) => seen?.observe(figure));
  }

  /** Strictly "a..b" with a <= b. @param {string} search @returns {Range | null} */
  function parsed(search) {
    const number = "(-?\\d{1,16}(?:\\.\\d{1,16})?(?:e[+-]?\\d{1,2})?)";
    const found = new RegExp(`^${number}\\.\\.${number}$`).exec(new URLSearchParams(search).get("x") ?? "");
    if (!found) return null;
    const [a, b] = [Number(found[1]), Number(found[2])];
    return a <= b ? [a, b] : null;
  }

  /** A finding named by the address is opened. */
  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (!(target instanceof HTMLDetailsElement) || !target.matches(".rp-ev")) return;
    target.open = true;
    target.scrollIntoView();
  }

  /** @param {Event} event */
  function touched(event) {
    const figure = event.target instanceof Element ? event.target.closest(FIGURES) : null;
    if (figure) upgrade(/** @type {HTMLElement} */ (figure));
  }

  /** "Show in the curves"; before Material sees the click. @param {MouseEvent} event */
  function zoomLink(event) {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a.rp-zoom") : null;
    const range = link instanceof HTMLAnchorElement ? parsed(link.search) : null;
    if (!range) return;
    event.preventDefault();
    event.stopPropagation();
    const pad = 0.05 * (range[1] - range[0]);
    zoomTo(STEP, [range[0] - pad, range[1] + pad], "#curves");
    document.getElementById("curves")?.scrollIntoView();
  }

  function recolour() {
    for (const chart of live()) {
      const { data, layout } = drawing(chart);
      layout.xaxis.range = [...chart.view];
      layout.yaxis.range = [...yRange(chart)];
      layout.yaxis.dtick = decades(chart, layout.yaxis.range);
      /** @type {any} */ (window).Plotly.react(chart.gd, data, layout);
    }
  }

  function stop() {
    page.abort();
    seen?.disconnect();
    [...charts.keys()].forEach(restore);
    zooms.clear();
  }

  function start() {
    stop();
    page = new AbortController();
    const { signal } = page;
    for (const name of ["pointerover", "focusin", "touchstart", "click"]) {
      document.addEventListener(name, touched, { signal, passive: true });
    }
    document.addEventListener("click", zoomLink, { signal, capture: true });
    addEventListener("resize", () => live().forEach(place), { signal }); // before Plotly's own, which waits
    addEventListener("hashchange", openTarget, { signal });
    addEventListener("beforeprint", () => [...charts.keys()].forEach(restore), { signal });
    const palette = new MutationObserver(recolour);
    palette.observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
    signal.addEventListener("abort", () => palette.disconnect());
    // The keyboard reaches a chart, and focus makes it live.
    document.querySelectorAll(FIGURES).forEach((f) => { /** @type {HTMLElement} */ (f).tabIndex = 0; });
    openTarget();
    if (document.querySelector("[data-rp-browse]")) import(new URL("rp-browse.js", own.src).href).then((browse) => browse.start(signal));
    const range = parsed(location.search);
    if (range && document.querySelector(FIGURES)) {
      zooms.set(STEP, range);
      follow();
    }
  }

  const pages = /** @type {any} */ (window).document$;
  if (pages) pages.subscribe(start);
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
