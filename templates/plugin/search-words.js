/**
 * What is asked, as the words that the index holds: the rule of `pages/search_tokens.py`, which a
 * test compares with this one. Stands before both search workers.
 */
const FORM = /(?<![\p{L}\p{N}.])(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,3}))?(?![\p{L}\p{N}]|\.\d)|[\p{L}\p{N}]+/gu;

/** The number without an exponent; "" for what is rather the beginning of a hash. */
function plainNumber(whole, part, power) {
  if (Math.abs(power) > 20 || (!part && whole.length > 3)) return "";
  let point = whole.length + Number(power);
  let digits = whole + part;
  if (point < 1) [digits, point] = ["0".repeat(1 - point) + digits, 1];
  digits = digits.padEnd(point, "0");
  const before = digits.slice(0, point).replace(/^0+(?=.)/, "");
  const behind = digits.slice(point).replace(/0+$/, "");
  return behind ? `${before}.${behind}` : before;
}

/** Lower case, without accents; `3e-4`, `3E-04` and `0.00030` are all `0.0003`. */
function wordsOf(text) {
  const bare = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return [...bare.matchAll(FORM)].flatMap(([form, whole, part, power]) => {
    if (part === undefined && power === undefined) return [form];
    const number = plainNumber(whole, part ?? "", power ?? 0);
    return number ? [number] : form.match(/[\p{L}\p{N}]+/gu);
  });
}
