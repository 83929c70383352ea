// The sides of a comparison: runs and seed sets of groups, fetched from the files beside their pages.
// @ts-check
import { stored } from "./rp-files.js";

/** One run's compare.json (pages/comparable.py).
 * @typedef {any} Run */
/** `mixed` says why the spread of its runs is not that of seeds; `url` leads to its page.
 * @typedef {{slug: string, name: string, short: string, runs: Run[], isGroup: boolean, warnings: string[], told: string[], mixed: string, url: string}} Side */

const COMPARABLE = "runpages.comparable/1";
const GROUP = "runpages.group/1";
const RULES = "runpages.comparing/1";
const LONG = 24;

/** A slug of a run ends in ten hex digits, one of a group in six. @param {string} slug */
export const isRun = (slug) => /-[0-9a-f]{10}$/.test(slug);

/** @param {string} root the section @param {string} slug @param {string} name */
export const fileOf = (root, slug, name) => new URL(`assets/runs/${slug}/${name}`, root).href;

/** @param {string} root */
export const rules = (root) => stored(new URL("assets/index/comparing.json", root).href, RULES);

/** @param {string} root @param {string} slug @returns {Promise<Run>} */
const run = (root, slug) => stored(fileOf(root, slug, "compare.json"), COMPARABLE);

/** @param {string} root @param {string} slug @returns {Promise<Side>} */
export async function side(root, slug) {
  if (isRun(slug)) {
    const one = await run(root, slug);
    return { slug, name: one.name, short: one.name, runs: [one], isGroup: false, warnings: [], told: [], mixed: "", url: new URL(`${slug}/`, root).href };
  }
  return groupSide(root, slug, await stored(new URL(`groups/${slug}.json`, root).href, GROUP));
}

/** The largest set of the group's runs that differ in nothing but the seed, as analysis/contenders.py
 * takes it. @param {string} root @param {string} slug @param {any} group @returns {Promise<Side>} */
async function groupSide(root, slug, group) {
  const { name } = group;
  const further = group.further_sets ?? [];
  const alone = group.seed_set.length ? group.seed_set : group.slugs.length === 1 ? group.slugs : [];
  const mixed = !alone.length || further.some((/** @type {any} */ set) => set.slugs.length === alone.length)
    ? `the runs of ${name} differ in more than the seed` : "";
  const runs = await Promise.all((mixed ? group.slugs : alone).map((/** @type {string} */ one) => run(root, one)));
  const side = { slug, name, short: name, runs, isGroup: true, mixed, url: new URL(`by/group/${slug}/`, root).href };
  if (mixed) {
    return { ...side, told: [], warnings: [`${mixed}: name its runs instead, or put each setting into its own group`] };
  }
  const left = Object.entries(group.left_out).map(([one, why]) => `${name}: ${one} is left out: ${why}`);
  for (const set of further) {
    const why = `differs in ${Object.keys(set.settings).slice(0, 6).join(", ") || "its configuration"}`;
    left.push(...set.slugs.map((/** @type {string} */ one) => `${name}: ${one} is left out: ${why}`));
  }
  if (runs.length > 1 && group.found_by === "group") {
    left.push(`${name}: its runs record no configuration; that they are named together is all that says they are repeats`);
  }
  return { ...side, warnings: left, told: runs.length > 1 ? group.warnings.map((/** @type {string} */ w) => `${name}: ${w}`) : [] };
}

/** Names that tell the sides apart: with the end of the slug where two share one; for heads and legends without
 * the folders that all long ones begin with. @param {Side[]} sides */
export function named(sides) {
  const names = sides.map((one) => one.name);
  const told = sides.map((one) => (names.filter((n) => n === one.name).length > 1 ? `${one.name} (${one.slug.slice(-4)})` : one.name));
  const parts = told.map((name) => name.split("/"));
  let same = 0;
  while (told.length > 1 && parts.every((one) => one.length > same + 1 && one[same] === parts[0][same])) same++;
  const cut = Math.max(...told.map((name) => name.length)) > LONG ? same : 0;
  return sides.map((one, i) => ({ ...one, name: told[i], short: cut ? `…/${parts[i].slice(cut).join("/")}` : told[i] }));
}
