// What the address says of a comparison: ?runs=a,b,c&base=a&ax=tokens&sm=0.5&y=log&show=delta&x=1..2
// @ts-check
import { range } from "./rp-view.js";

/** @typedef {import("./rp-compare-curves.js").View} View */
/** @typedef {{runs: string[], base: string, view: View, dropped: string[]}} State */

/** More than these are left out, and it is said. */
export const MOST = 60;
const AXES = /** @type {const} */ (["step", "tokens", "elapsed", "flop", "usd"]);

/** What makes no sense is left out. @param {string} search @returns {State} */
export function parsed(search) {
  const query = new URLSearchParams(search);
  const given = [...new Set((query.get("runs") ?? "").split(",").map((s) => s.trim()).filter(Boolean))];
  const wanted = query.get("base") ?? "";
  const slugs = given.filter((s) => /^[a-z0-9-]{1,64}$/.test(s));
  if (/^[a-z0-9-]{1,64}$/.test(wanted) && !slugs.includes(wanted)) slugs.unshift(wanted);
  const sm = query.get("sm") ?? "";
  const y = query.get("y");
  return {
    runs: slugs.slice(0, MOST),
    dropped: [...given.filter((s) => !/^[a-z0-9-]{1,64}$/.test(s)).map((s) => s.slice(0, 80)), ...slugs.slice(MOST)],
    base: slugs.includes(wanted) ? wanted : slugs[0] ?? "",
    view: {
      ax: AXES.find((ax) => ax === query.get("ax")) ?? "step",
      sm: /^0?\.\d{1,3}$/.test(sm) ? Number(sm) : 0,
      y: y === "log" || y === "linear" ? y : "",
      show: query.get("show") === "delta" ? "delta" : "",
      x: range(query.get("x")),
    },
  };
}

/** Puts it into the address without a step in the history. @param {State} state */
export function keep({ runs, base, view }) {
  const parts = [
    runs.length && `runs=${runs.join(",")}`,
    base && base !== runs[0] && `base=${base}`,
    view.ax !== "step" && `ax=${view.ax}`,
    view.sm && `sm=${view.sm}`,
    view.y && `y=${view.y}`,
    view.show && `show=${view.show}`,
    view.x && `x=${view.x.map((v) => Number(v.toPrecision(7))).join("..")}`,
  ];
  const url = new URL(location.href);
  url.search = parts.filter(Boolean).join("&");
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}
