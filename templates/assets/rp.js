// @ts-check
/**
 * Turns the static charts of a page into live ones when a reader touches them.
 *
 * A chart is `<figure class="rp-chart" data-rp-chart="id" data-rp-src="charts.json">` around
 * `.rp-plot > svg`. Until somebody points at, taps or focuses it, nothing is loaded. Then the Plotly
 * bundle and live.js beside this file and the page's charts.json are fetched once, and the live
 * chart is laid over the drawing at the same place and size, in the drawing's own colours. If
 * anything fails, the drawing stays.
 *
 * Charts with the same x share their zoom; that of the steps stands in the address (`?x=a..b`).
 * A link whose href begins with `?x=` zooms. Everything survives instant navigation (`document$`).
 */
(() => {
  "use strict";

  /** @typedef {[number, number]} Range */
  /** @typedef {Record<string, any>} Spec a chart of charts.json: id, layout, data */
  /** @typedef {typeof import("./live.js")} Live */

  const global = /** @type {any} */ (window);
  const own =
    document.currentScript instanceof HTMLScriptElement
      ? document.currentScript
      : /** @type {HTMLScriptElement | null} */ (
          document.querySelector('script[src*="assets/rp/rp.js"]')
        );
  if (!own || global.runpagesCharts) return;
  global.runpagesCharts = true;

  const LIVE = new URL("live.js", own.src).href;
  const BUNDLE = new URL("plotly.min.js", own.src).href;
  const DWELL_MS = 120; // a pointer that only passes over a chart loads nothing

  /** `a..b` as a range; a single step gets room on both sides. @param {string | null} text */
  function parsed(text) {
    const found = /^(-?[\d.]+?(?:e[+-]?\d+)?)\.\.(-?[\d.]+(?:e[+-]?\d+)?)$/i.exec(text ?? "");
    if (!found) return null;
    const [a, b] = [Number(found[1]), Number(found[2])].sort((p, q) => p - q);
    if (!Number.isFinite(a) || !Number.isFinite(b)) return null;
    return /** @type {Range} */ (a === b ? [a - 20, b + 20] : [a, b]);
  }

  const nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

  class Page {
    constructor() {
      this.abort = new AbortController();
      this.queue = Promise.resolve();
      /** Zoom by kind of x. @type {Record<string, Range | null>} */
      this.zoom = { step: parsed(new URLSearchParams(location.search).get("x")) };
      /** @type {Chart[]} */
      this.charts = [];
      const on = { signal: this.abort.signal };
      for (const figure of document.querySelectorAll("figure[data-rp-chart][data-rp-src]")) {
        const chart = Chart.on(this, /** @type {HTMLElement} */ (figure));
        if (chart) this.charts.push(chart);
      }
      if (!this.charts.length) return;
      this.seen = new IntersectionObserver((entries) => {
        for (const { target, isIntersecting } of entries)
          if (isIntersecting) this.charts.find((c) => c.figure === target)?.wake();
      });
      this.sizes = new ResizeObserver((entries) => {
        for (const { target } of entries) this.charts.find((c) => c.plot === target)?.resized();
      });
      this.palette = new MutationObserver(() => this.draw());
      const watched = { attributes: true, attributeFilter: ["data-md-color-scheme"] };
      this.palette.observe(document.body, watched);
      document.addEventListener("click", (e) => this.clicked(e), { capture: true, ...on });
      addEventListener("popstate", () => this.moved(), on);
      addEventListener("beforeprint", () => this.charts.forEach((c) => c.show(false)), on);
      addEventListener("afterprint", () => this.charts.forEach((c) => c.show(true)), on);
      if (this.zoom.step) this.wakeSeen();
    }

    /** Charts become live as they come into view: a zoom is of no use on a drawing. */
    wakeSeen() {
      for (const chart of this.charts) this.seen?.observe(chart.figure);
    }

    /** @param {string} [kind] of x; all without it */
    draw(kind) {
      for (const chart of this.charts)
        if (!kind || chart.spec?.layout.meta === kind) chart.draw();
    }

    /** @param {string} kind @param {Range | null} range */
    zoomTo(kind, range) {
      if (String(this.zoom[kind] ?? "") === String(range ?? "")) return;
      this.zoom[kind] = range;
      if (kind === "step") {
        const url = new URL(location.href);
        const digits = range && range[1] - range[0] < 20 ? 2 : 0;
        if (range) url.searchParams.set("x", range.map((v) => +v.toFixed(digits)).join(".."));
        else url.searchParams.delete("x");
        history.replaceState(history.state, "", url);
        if (range) this.wakeSeen();
      }
      this.draw(kind);
    }

    /** @param {MouseEvent} event */
    clicked(event) {
      if (event.ctrlKey || event.metaKey || event.shiftKey || !(event.target instanceof Element))
        return;
      const link = event.target.closest('a[href^="?x="], a[data-rp-x]');
      if (!(link instanceof HTMLAnchorElement)) return;
      const url = new URL(link.href);
      const range = parsed(link.dataset.rpX ?? url.searchParams.get("x"));
      if (!range) return;
      event.preventDefault();
      event.stopPropagation();
      const room = Math.max(range[1] - range[0], 20);
      this.zoomTo("step", [Math.max(0, range[0] - room), range[1] + room]);
      const goal = url.hash ? document.getElementById(url.hash.slice(1)) : null;
      (goal ?? this.charts[0].figure).scrollIntoView();
      this.charts[0].plot.focus({ preventScroll: true });
    }

    moved() {
      this.zoom.step = parsed(new URLSearchParams(location.search).get("x"));
      this.draw("step");
    }

    stop() {
      this.abort.abort();
      this.seen?.disconnect();
      this.sizes?.disconnect();
      this.palette?.disconnect();
      for (const chart of this.charts) chart.end();
    }
  }

  class Chart {
    /** @param {Page} page @param {HTMLElement} figure */
    static on(page, figure) {
      const plot = figure.querySelector(".rp-plot");
      const svg = plot?.querySelector(":scope > svg");
      if (!(plot instanceof HTMLElement) || !(svg instanceof SVGSVGElement)) return null;
      return new Chart(page, figure, plot, svg);
    }

    /**
     * @param {Page} page @param {HTMLElement} figure @param {HTMLElement} plot
     * @param {SVGSVGElement} svg
     */
    constructor(page, figure, plot, svg) {
      this.page = page;
      this.figure = figure;
      this.plot = plot;
      this.svg = svg;
      this.src = new URL(figure.dataset.rpSrc ?? "", location.href).href;
      /** @type {Spec | null} */
      this.spec = null;
      /** The live chart's element. @type {any} */
      this.live = null;
      /** @type {Live | null} */
      this.module = null;
      this.width = 0;
      this.waking = false;
      plot.tabIndex = 0;
      plot.setAttribute("role", "group");
      plot.setAttribute("aria-label", svg.getAttribute("aria-label") ?? "chart");
      const on = { signal: page.abort.signal };
      let dwell = 0;
      figure.addEventListener(
        "pointerenter",
        (e) => {
          if (e.pointerType !== "touch") dwell = setTimeout(() => this.wake(), DWELL_MS);
        },
        on,
      );
      figure.addEventListener("pointerleave", () => clearTimeout(dwell), on);
      for (const kind of ["click", "focusin"]) plot.addEventListener(kind, () => this.wake(), on);
    }

    wake() {
      if (this.waking) return;
      this.waking = true;
      this.page.queue = this.page.queue
        .then(() => this.start())
        .catch((error) => this.failed(error))
        .then(nextFrame)
        .then(() => undefined);
    }

    async start() {
      /** @type {Live} */
      const module = await import(LIVE);
      const [all] = await Promise.all([module.charts(this.src), module.plotly(BUNDLE)]);
      if (this.page.abort.signal.aborted) return;
      const spec = all.get(this.figure.dataset.rpChart);
      if (!spec) throw new Error("the data file does not hold this chart");
      this.figure.querySelector("[data-rp-note]")?.remove();
      const live = document.createElement("div");
      Object.assign(live.style, { position: "absolute", inset: "0" });
      this.plot.style.position = "relative";
      this.plot.append(live);
      Object.assign(this, { spec, live, module });
      await this.draw();
      this.show(true);
      this.live.on("plotly_relayout", (/** @type {any} */ change) => this.relayouted(change));
      this.live.on("plotly_doubleclick", () => this.page.zoomTo(spec.layout.meta, null));
      this.page.sizes?.observe(this.plot);
    }

    /** @param {Error} error */
    failed(error) {
      this.waking = false;
      this.end();
      const note = this.figure.querySelector("[data-rp-note]") ?? document.createElement("p");
      note.className = "rp-quiet";
      note.setAttribute("data-rp-note", "");
      note.setAttribute("role", "status");
      note.textContent = `This chart stays a drawing: ${error.message}.`;
      this.figure.append(note);
    }

    /** The live chart, or the drawing under it. @param {boolean} live */
    show(live) {
      if (!this.live) return;
      this.live.style.visibility = live ? "" : "hidden";
      this.svg.style.visibility = live ? "hidden" : "";
    }

    end() {
      if (!this.live) return;
      global.Plotly?.purge(this.live);
      this.live.remove();
      this.live = null;
      this.svg.style.visibility = "";
    }

    resized() {
      const { width } = this.plot.getBoundingClientRect();
      if (width > 0 && width !== this.width) this.draw();
    }

    /** @param {Record<string, any>} change what Plotly says of a zoom by hand */
    relayouted(change) {
      const low = change["xaxis.range[0]"] ?? change["xaxis.range"]?.[0];
      const high = change["xaxis.range[1]"] ?? change["xaxis.range"]?.[1];
      if (!this.spec || low === undefined || high === undefined) return;
      const [first, last] = this.spec.layout.xaxis.range;
      const all = low <= first && high >= last;
      this.page.zoomTo(this.spec.layout.meta, all ? null : [low, high]);
    }

    draw() {
      if (!this.live || !this.spec || !this.module) return undefined;
      const zoom = this.page.zoom[this.spec.layout.meta] ?? null;
      const { data, layout } = this.module.figure(this.spec, this.svg, this.plot, zoom);
      this.width = layout.width;
      const image = { format: "svg", filename: this.figure.dataset.rpChart };
      const config = { ...this.module.CONFIG, toImageButtonOptions: image };
      return global.Plotly.react(this.live, data, layout, config);
    }
  }

  /** @type {Page | null} */
  let page = null;
  function boot() {
    page?.stop();
    page = new Page();
  }
  if (global.document$) global.document$.subscribe(boot);
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", boot);
  else boot();
})();
