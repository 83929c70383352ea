// The Plotly bundle, fetched at the first need and only once, however often pages change.
// @ts-check
import { once } from "./rp-files.js";

const BUNDLE = new URL("plotly.min.js", import.meta.url).href;

/** Its own settings: no button and no address that would send a reader's data away. */
export const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true, doubleClick: false,
  showSendToCloud: false, plotlyServerURL: "" };

export function plotly() {
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
