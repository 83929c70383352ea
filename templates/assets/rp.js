// runpages: opens the finding that the address names, and loads what a page has use for. Without it,
// and wherever it cannot work, the page says everything by itself.
// @ts-check

(() => {
  "use strict";

  // read now: after instant navigation the element's relative address would be that of another depth
  const home = /** @type {HTMLScriptElement} */ (document.currentScript).src;

  /** What a page may hold, and the module whose `start(signal)` makes it live until the signal.
   * @type {[string, string][]} */
  const PARTS = [
    ["[data-rp-browse]", "rp-browse.js"],
    ["[data-rp-compare]", "rp-compare.js"],
    ["figure.rp-chart[data-rp-src], .rp-metrics[data-rp-src]", "rp-charts.js"],
    [".rp-sample", "rp-samples.js"],
  ];

  let page = new AbortController();

  /** A finding named by the address is opened. */
  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (!(target instanceof HTMLDetailsElement) || !target.matches(".rp-ev")) return;
    target.open = true;
    target.scrollIntoView();
  }

  /** What is wider than its place can be scrolled by the keyboard. */
  function scrollers() {
    for (const one of document.querySelectorAll(".rp-scroll")) {
      if (one instanceof HTMLElement && one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    }
  }

  function start() {
    page.abort();
    page = new AbortController();
    const { signal } = page;
    addEventListener("hashchange", openTarget, { signal });
    openTarget();
    for (const name of ["toggle", "resize"]) addEventListener(name, scrollers, { signal, capture: true });
    scrollers();
    for (const [selector, name] of PARTS) {
      if (!document.querySelector(selector)) continue;
      import(new URL(name, home).href).then((part) => signal.aborted || part.start(signal));
    }
  }

  const pages = /** @type {any} */ (window).document$; // Material's instant navigation
  if (pages) pages.subscribe(start);
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
