// What the reader has chosen to see, kept in the address: ?x=a..b&ax=tokens&sm=0.6&y=log&base=0&sib=1&m=r-1
// @ts-check
import { AXES } from "./rp-axes.js";

/** @typedef {import("./rp-axes.js").Range} Range */
/** @typedef {{x: Range | null, ax: import("./rp-axes.js").Axis, sm: number, y: "" | "log" | "linear",
 *   base: boolean, sib: boolean, m: string[]}} View */

const NAMES = ["x", "ax", "sm", "y", "base", "sib", "m"];
const NUMBER = "(-?\\d{1,16}(?:\\.\\d{1,16})?(?:e[+-]?\\d{1,2})?)";
const RANGE = new RegExp(`^${NUMBER}\\.\\.${NUMBER}$`);
const MOST = 12;

/** Strictly "a..b" with a <= b. @param {string | null} text @returns {Range | null} */
export function range(text) {
  const found = RANGE.exec(text ?? "");
  if (!found) return null;
  const [a, b] = [Number(found[1]), Number(found[2])];
  return a <= b ? [a, b] : null;
}

/** What makes no sense is left out. @param {string} search @param {import("./rp-axes.js").Axis} home what x counts
 * unless the reader says otherwise @returns {View} */
export function read(search, home) {
  const given = new URLSearchParams(search);
  const text = (/** @type {string} */ name) => given.get(name) ?? "";
  const y = text("y");
  return {
    x: range(given.get("x")),
    ax: AXES.find((ax) => ax === text("ax")) ?? home,
    sm: /^0?\.\d{1,3}$/.test(text("sm")) ? Number(text("sm")) : 0,
    y: y === "log" || y === "linear" ? y : "",
    base: text("base") !== "0",
    sib: text("sib") === "1",
    m: [...new Set(text("m").split(","))].filter((id) => /^[a-z][a-z0-9-]{0,40}$/.test(id)).slice(0, MOST),
  };
}

/** Puts it into the address without a step in the history. @param {View} view @param {string} home @param {string} hash */
export function write(view, home, hash = location.hash) {
  const url = new URL(location.href);
  NAMES.forEach((name) => url.searchParams.delete(name));
  const parts = [
    url.searchParams.toString(),
    view.x && `x=${view.x.map((v) => Number(v.toPrecision(view.ax === "wall" ? 13 : 7))).join("..")}`,
    view.ax !== home && `ax=${view.ax}`,
    view.sm && `sm=${view.sm}`,
    view.y && `y=${view.y}`,
    !view.base && "base=0",
    view.sib && "sib=1",
    view.m.length && `m=${view.m.join(",")}`,
  ];
  url.search = parts.filter(Boolean).join("&");
  url.hash = hash;
  history.replaceState(history.state, "", url);
}

/** Whether the drawings show it as well. @param {View} view @param {string} home */
export const plain = (view, home) => !view.x && view.ax === home && !view.sm && !view.y && view.base && !view.sib;
