// What x counts: step, tokens, elapsed or wall time. Between them lie the lines that charts_axes.py made.
// A window is a pair of numbers in units of its axis: steps, tokens, seconds, UTC seconds.
// @ts-check

/** @typedef {[number, number]} Range */
/** @typedef {"step"|"tokens"|"elapsed"|"wall"} Axis */

/** @type {Axis[]} */
export const AXES = ["step", "tokens", "elapsed", "wall"];

/** On the line through the points (xs, ys), beyond its ends as in its outermost piece.
 * @param {number[]} xs @param {number[]} ys @param {number} v */
export function interpolated(xs, ys, v) {
  let low = 0;
  let high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= v) low = middle;
    else high = middle;
  }
  const width = xs[high] - xs[low];
  return width ? ys[low] + ((v - xs[low]) / width) * (ys[high] - ys[low]) : ys[low];
}

export class Axes {
  /** @param {any} axes of charts.json */
  constructor(axes) {
    this.axes = axes;
  }

  /** @param {Axis} ax */
  has(ax) {
    return ax === "step" || !this.axes.why[ax === "tokens" ? "tokens" : "time"];
  }

  /** NaN where the run (or its baseline) did not record it. @param {number} step @param {Axis} ax */
  fromStep(step, ax, baseline = false) {
    if (ax === "step") return step;
    const { axes } = this;
    if (ax === "wall" && baseline) return NaN; // it ran on other days
    const line = ax === "tokens" ? (baseline ? axes.base_tokens : axes.tokens) : baseline ? axes.base_clock : axes.clock;
    if (!line) return NaN;
    const value = interpolated(line[0], line[1], step);
    return ax === "wall" ? value + axes.start : value;
  }

  /** @param {number} value @param {Axis} ax */
  toStep(value, ax) {
    if (ax === "step") return value;
    const line = ax === "tokens" ? this.axes.tokens : this.axes.clock;
    return line ? interpolated(line[1], line[0], ax === "wall" ? value - this.axes.start : value) : NaN;
  }

  /** @param {number} value @param {Axis} from @param {Axis} to */
  converted(value, from, to) {
    if (from === to) return value;
    if (from === "elapsed" && to === "wall") return value + this.axes.start;
    if (from === "wall" && to === "elapsed") return value - this.axes.start;
    return this.fromStep(this.toStep(value, from), to);
  }

  /** @param {Range} range @param {Axis} from @param {Axis} to @returns {Range | null} */
  window(range, from, to) {
    const [a, b] = range.map((v) => this.converted(v, from, to));
    return Number.isFinite(a) && Number.isFinite(b) ? [a, b] : null;
  }
}

/** The unit in which a time is a readable number. @param {number} seconds @returns {{name: string, seconds: number}} */
export function unitOf(seconds) {
  if (seconds >= 3 * 3600) return { name: "elapsed hours", seconds: 3600 };
  return seconds >= 180 ? { name: "elapsed minutes", seconds: 60 } : { name: "elapsed seconds", seconds: 1 };
}
