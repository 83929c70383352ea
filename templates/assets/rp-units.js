// Numbers, times and durations as units.py writes them.
// @ts-check

const MINUS = "\u2212";

/** Significant digits with thousands separated; 3.1e-5 outside 1e-4..1e9. @param {number} value @param {number} [digits] */
export function number(value, digits = 4) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  if (value === 0) return "0";
  const size = Math.abs(value);
  let text;
  if (size < 1e-4 || size >= 1e9) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    text = `${mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa}e${Number(exponent)}`;
  } else {
    const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    text = grouped(value.toFixed(decimals));
  }
  return text.replaceAll("-", MINUS);
}

/** A difference without decimals beyond the sixth digit of the values it is between. @param {number} value @param {number[]} of */
export function difference(value, of) {
  const size = Math.max(0, ...of.map(Math.abs));
  const own = Math.abs(value);
  if (!(size >= 1e-4 && size < 1e9 && own >= 1e-4 && own < 1e9)) return number(value);
  const decimals = Math.max(0, 5 - Math.floor(Math.log10(size)));
  return number(value, Math.min(4, Math.max(1, decimals + 1 + Math.floor(Math.log10(own)))));
}

/** @param {string} text */
function grouped(text) {
  const [whole, rest] = text.split(".");
  const parts = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return rest === undefined ? parts : `${parts}.${rest}`;
}

/** @param {number} value */
export function count(value) {
  return grouped(String(Math.round(value))).replaceAll("-", MINUS);
}

/** @param {number} seconds @returns {string} */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "n/a";
  if (seconds < 0) return MINUS + duration(-seconds);
  if (seconds < 1) return seconds ? `${number(seconds * 1000, 3)} ms` : "0 s";
  if (seconds < 60) return `${number(seconds, 3)} s`;
  if (seconds < 3600) return `${number(seconds / 60, 3)} min`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** UTC day of seconds since 1970. @param {number} seconds */
export function day(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "n/a" : date.toISOString().slice(0, 10);
}
