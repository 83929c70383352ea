// The curves of a run's siblings, faint behind its own: the other runs of its group, as their own small
// files keep them. Nothing of it is fetched before a reader asks.
// @ts-check
import { Axes } from "./rp-axes.js";
import { decoded, stored } from "./rp-files.js";
import { escaped, plain } from "./rp-text.js";

/** @typedef {import("./rp-files.js").Trace} Trace */
/** `left`: how many more there are than are drawn or could be had.
 * @typedef {{name: string, axes: Axes, curves: any[]}} Sibling
 * @typedef {{runs: Sibling[], left: number}} Family */

const MOST = 24;
/** Siblings that are named under the pointer: of more, nobody reads a list as long as the chart. */
const NAMED = 8;

/** @param {string} source the run's charts.json @param {string} group @param {string} own @returns {Promise<Family>} */
export async function family(source, group, own) {
  const section = new URL("../../../", source);
  const members = await stored(new URL(`groups/${group}.json`, section).href, "runpages.group/1");
  const others = members.slugs.filter((/** @type {string} */ slug) => slug !== own);
  const answers = await Promise.allSettled(others.slice(0, MOST).map((/** @type {string} */ slug) =>
    stored(new URL(`assets/runs/${slug}/compare.json`, section).href, "runpages.comparable/1")));
  const runs = answers.flatMap((answer) => answer.status === "fulfilled" ? [answer.value] : [])
    .map(({ name, axes, curves }) => ({ name, axes: new Axes({ why: {}, ...axes }), curves }));
  return { runs, left: others.length - runs.length };
}

/** The siblings' curves of the metrics that a chart shows. @param {Family} family @param {Trace[]} traces @returns {Trace[]} */
export function behind({ runs }, traces) {
  const shown = traces.filter((trace) => trace.key[0] === "c");
  return shown.flatMap((own) => runs.flatMap(({ name, axes, curves }) => {
    const curve = curves.find((/** @type {any} */ one) => one.name === plain(own.name));
    const words = escaped(shown.length > 1 && curve ? `${name}, ${curve.name}` : name);
    return curve ? [{ ...decoded(curve), key: "s", mode: "lines", meta: "sibling", name: words, axes, exact: own.exact,
      mute: runs.length > NAMED }] : [];
  }));
}
