// What is fetched when a reader opens it: samples of the same prompt, and the environments.
// @ts-check
import { differences } from "./rp-compare-facts.js";
import { fileOf } from "./rp-compare-data.js";
import { swatch, table } from "./rp-compare-sheet.js";
import { differing } from "./rp-compare-tables.js";
import { stored } from "./rp-files.js";
import { element } from "./rp-tools.js";
import { count } from "./rp-units.js";

/** @typedef {import("./rp-compare-data.js").Side} Side */

const PROMPTS = 8;
const SIDES = 8;

/** A section that is filled when it is opened first. @param {string} title @param {() => Promise<Node[]>} fill */
function fold(title, fill) {
  const place = element("div", {}, [element("p", { className: "rp-quiet", textContent: "loading" })]);
  const made = element("details", { className: "rp-more" }, [element("summary", { textContent: title }), place]);
  let begun = false;
  made.addEventListener("toggle", async () => {
    if (!made.open || begun) return;
    begun = true;
    try {
      place.replaceChildren(...(await fill()));
    } catch {
      begun = false; // the next opening tries again
      place.replaceChildren(element("p", { className: "rp-warned", textContent: "A file of these runs could not be loaded." }));
    }
  });
  return made;
}

/** The newest sample with a text of each prompt. @param {any[]} samples */
function newest(samples) {
  /** @type {Map<string, any>} */
  const out = new Map();
  for (const one of samples) {
    if (!one.text) continue;
    const key = one.prompt ? `${one.kind}\n${one.prompt}` : `${one.kind}\n\n${one.name}`;
    const known = out.get(key);
    if (!known || (one.step ?? -1) > (known.step ?? -1)) out.set(key, one);
  }
  return out;
}

/** @param {Side[]} sides @param {string} root */
export function samples(sides, root) {
  const having = sides.map((side, number) => ({ side, number, run: side.runs.find((r) => r.samples) })).filter((s) => s.run);
  if (!having.length) return element("p", {}, [element("span", { className: "rp-na", textContent: "none of the runs logged samples" })]);
  const none = sides.filter((s) => !s.runs.some((r) => r.samples)).map((s) => s.name);
  return fold(`Samples of ${having.length} of ${sides.length} runs`, async () => {
    const files = await Promise.all(having.slice(0, SIDES).map((h) => stored(fileOf(root, h.run.slug, "samples.json"), "runpages.samples/1")));
    const found = files.map((f) => newest(f.samples));
    const counts = new Map();
    for (const each of found) for (const key of each.keys()) counts.set(key, (counts.get(key) ?? 0) + 1);
    const shared = [...counts].filter(([, n]) => n > 1).map(([key]) => key);
    const notes = [];
    if (none.length) notes.push(`logged no samples: ${none.slice(0, 8).join(", ")}${none.length > 8 ? ` and ${none.length - 8} more` : ""}`);
    if (having.length > SIDES) notes.push(`the first ${SIDES} runs with samples`);
    if (shared.length > PROMPTS) notes.push(`the first ${PROMPTS} of ${shared.length} shared prompts`);
    const remark = notes.length ? [element("p", { className: "rp-quiet", textContent: notes.join("; ") })] : [];
    if (!shared.length) return [element("p", {}, [element("span", { className: "rp-na", textContent: "no two of the runs have a text of the same prompt" })]), ...remark];
    return [...remark, element("div", { className: "rp-samples rp-cmp-samples" }, shared.slice(0, PROMPTS).map((key) => prompt(key, having, found)))];
  });
}

/** @param {string} key @param {{side: Side, number: number}[]} having @param {Map<string, any>[]} found */
function prompt(key, having, found) {
  const first = /** @type {Map<string, any>} */ (found.find((f) => f.has(key))).get(key);
  const columns = found.flatMap((each, i) => {
    const one = each.get(key);
    if (!one) return [];
    const { side, number } = having[i];
    const when = one.step === undefined ? "step not logged" : `step ${count(one.step)}`;
    return [element("div", {}, [element("small", {}, [swatch(number), ` ${side.name} · ${when}`]), element("pre", {}, [element("code", { textContent: one.text })])])];
  });
  return element("div", { className: "rp-sample" }, [element("p", {}, [element("b", { textContent: first.name }), ...(first.prompt ? [" prompt ", element("q", { textContent: first.prompt.slice(0, 300) })] : [])]),
    element("div", { className: "rp-sample__t" }, columns)]);
}

/** Packages and versions, out of the runs' run.json. @param {Side[]} sides @param {string} root @param {any} rules */
export function environment(sides, root, rules) {
  const having = sides.filter((s) => s.runs.some((r) => r.environment));
  if (having.length < 2) return null;
  return fold(`Environment of ${having.length} of ${sides.length} runs`, async () => {
    const runs = await Promise.all(sides.map((s) => Promise.all(s.runs.map((r) => stored(fileOf(root, r.slug, "run.json"), "runpages.show/1")))));
    const facts = Object.fromEntries(sides.map((s, i) => [s.slug, runs[i].map((r) => Object.fromEntries(Object.entries(r.environment)
      .filter(([, v]) => v !== null && v !== "").map(([k, v]) => [`environment.${k}`, typeof v === "string" ? v.replace(/^CPython /, "") : v])))]));
    const found = differences(facts, rules);
    if (!found.length) return [element("p", { className: "rp-quiet", textContent: "All that they recorded of it is equal." })];
    return [table(/** @type {any} */ (differing(found, sides.map((s) => ({ ...s, runs: s.runs.map((r) => ({ ...r, facts_left: 0 })) })))))];
  });
}
