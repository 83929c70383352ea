// The tests of analysis/statistics.py and student.py, for the sides that a reader chooses. Sources of
// the formulas stand there.
// @ts-check

/** @typedef {{method: string, delta: number, p: number, ci95: [number, number]}} Test */

const TINY = 1e-300;
const NOISE = 1e-12;
// Lanczos, g = 7, n = 9 (Godfrey's coefficients): about 15 digits.
const LANCZOS = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];

/** @param {number} z positive @returns {number} */
function logGamma(z) {
  if (z < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * z)) - logGamma(1 - z);
  const x = z - 1;
  const t = x + 7.5;
  const sum = LANCZOS.reduce((all, c, i) => (i ? all + c / (x + i) : c), 0);
  return 0.5 * Math.log(2 * Math.PI) + (x + 0.5) * Math.log(t) - t + Math.log(sum);
}

const neverZero = (/** @type {number} */ v) => (Math.abs(v) > TINY ? v : TINY);

/** @param {number} a @param {number} b @param {number} x */
function fraction(a, b, x) {
  let [value, front, back] = [1, 1, 0];
  for (let n = 1; n < 10_000; n++) {
    const m = Math.floor(n / 2);
    const term = n % 2 ? (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)) : (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    back = 1 / neverZero(1 + term * back);
    front = neverZero(1 + term / front);
    value *= front * back;
    if (Math.abs(front * back - 1) < 1e-15) break;
  }
  return 1 / value;
}

/** @param {number} a @param {number} b @param {number} x @param {number} rest 1 - x */
function regularisedBeta(a, b, x, rest) {
  if (x <= 0) return 0;
  if (rest <= 0) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(rest));
  return x < (a + 1) / (a + b + 2) ? (front * fraction(a, b, x)) / a : 1 - (front * fraction(b, a, rest)) / b;
}

/** P(|T| > |t|). @param {number} t @param {number} df */
export function pTwoSided(t, df) {
  const square = t * t;
  return Number.isFinite(t) ? regularisedBeta(df / 2, 0.5, df / (df + square), square / (df + square)) : 0;
}

/** The t that a two-sided p of 0.05 belongs to. @param {number} df */
export function t975(df) {
  let [low, high] = [0, 1];
  while (pTwoSided(high, df) > 0.05) [low, high] = [high, 2 * high];
  for (let i = 0; i < 200 && high - low > 1e-15 * high; i++) {
    const middle = (low + high) / 2;
    if (pTwoSided(middle, df) > 0.05) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** @param {number[]} values */
export const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** Sample variance. @param {number[]} values */
export function variance(values) {
  const m = mean(values);
  return values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (values.length - 1);
}

/** Whether a spread is more than rounding. @param {number} error @param {number[][]} samples */
const varies = (error, ...samples) => error > NOISE * Math.max(...samples.flat().map(Math.abs));

/** @param {string} method @param {number} delta @param {number} error @param {number} df @returns {Test} */
function tested(method, delta, error, df) {
  const half = t975(df) * error;
  return { method, delta, p: pTwoSided(delta / error, df), ci95: [delta - half, delta + half] };
}

/** null where the values do not vary. @param {number[]} base @param {number[]} other */
export function welch(base, other) {
  const parts = [base, other].map((s) => variance(s) / s.length);
  const error = Math.sqrt(parts[0] + parts[1]);
  if (!varies(error, base, other)) return null;
  const df = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / (base.length - 1) + parts[1] ** 2 / (other.length - 1));
  return tested("welch", mean(other) - mean(base), error, df);
}

/** Value k of both belongs together. @param {number[]} base @param {number[]} other */
export function paired(base, other) {
  const change = other.map((v, i) => v - base[i]);
  const error = Math.sqrt(variance(change) / change.length);
  return varies(error, base, other) ? tested("paired", mean(change), error, change.length - 1) : null;
}

/** @param {number[]} base @param {number[]} other */
export function hedges(base, other) {
  const k = base.length + other.length - 2;
  const sd = Math.sqrt(((base.length - 1) * variance(base) + (other.length - 1) * variance(other)) / k);
  if (!varies(sd, base, other)) return null;
  return (Math.exp(logGamma(k / 2) - logGamma((k - 1) / 2)) / Math.sqrt(k / 2)) * ((mean(other) - mean(base)) / sd);
}

/** p values adjusted for their number, in the order given. @param {number[]} ps */
export function holm(ps) {
  const order = ps.map((_, i) => i).sort((a, b) => ps[a] - ps[b]);
  /** @type {number[]} */
  const out = new Array(ps.length).fill(0);
  let largest = 0;
  order.forEach((at, rank) => {
    largest = Math.max(largest, Math.min(1, (ps.length - rank) * ps[at]));
    out[at] = largest;
  });
  return out;
}
