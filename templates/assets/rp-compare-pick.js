// Adds runs and seed sets to a comparison: a search over the runs.json of the browse page.
// @ts-check
import { Runs } from "./rp-browse-data.js";
import { element } from "./rp-tools.js";
import { day, number } from "./rp-units.js";

const MOST = 20;

/** @typedef {{slug: string, name: string, facts: string, words: string}} Choice */

/** Newest first, groups before runs. @param {Runs} runs @param {string} root @returns {Promise<Choice[]>} */
async function choices(runs, root) {
  const [slug, name, apart, project, metric, value, start, group] = ["slug", "name", "apart", "project", "metric", "value", "start", "group"].map((c) => runs.column(c));
  /** @type {Choice[]} */
  const out = [];
  const groups = new Map();
  for (let row = runs.count - 1; row >= 0; row--) {
    const facts = [apart.text(row), project.text(row), value.missing(row) ? "" : `${metric.text(row)} ${number(value.number(row))}`, start.missing(row) ? "" : day(start.number(row))];
    out.push({ slug: slug.text(row), name: name.text(row), facts: facts.filter(Boolean).join(" · "), words: runs.words(row) });
    if (!group.missing(row)) groups.set(group.text(row), (groups.get(group.text(row)) ?? 0) + 1);
  }
  const sets = await Promise.all([...groups].filter(([, n]) => n > 1).map(async ([one, n]) => ({ slug: await groupSlug(one), name: one, facts: `group of ${n} runs`, words: `${one} group`.toLowerCase() })));
  return [...sets.filter((s) => s.slug), ...out];
}

/** pages/words.py: group_slug; empty where the browser gives no digest (http). @param {string} name */
async function groupSlug(name) {
  if (!crypto.subtle) return "";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name)));
  const hex = [...digest.slice(0, 3)].map((b) => b.toString(16).padStart(2, "0")).join("");
  const strip = (/** @type {string} */ text) => text.replace(/^-+|-+$/g, "");
  const readable = strip(strip(name.toLowerCase().replace(/[^a-z0-9]+/g, "-")).slice(0, 40));
  return readable ? `${readable}-${hex}` : `group-${hex}`;
}

/** @param {string} root @param {() => Set<string>} chosen @param {(slug: string, on: boolean) => void} pick @param {AbortSignal} signal */
export function picker(root, chosen, pick, signal) {
  const input = element("input", { type: "search", placeholder: "Find a run: name, project, tag, commit" });
  input.setAttribute("aria-label", "Find a run to compare");
  const list = element("ul", { className: "rp-picks" });
  const said = element("p", { className: "rp-quiet" });
  said.setAttribute("role", "status");
  /** @type {Choice[]} */
  let all = [];
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = all.filter((c) => words.every((word) => c.words.includes(word)));
    const picked = chosen();
    list.replaceChildren(...found.slice(0, MOST).map((c) => {
      const box = element("input", { type: "checkbox", checked: picked.has(c.slug), onchange: () => pick(c.slug, box.checked) });
      return element("li", {}, [element("label", {}, [box, element("span", { textContent: c.name }), element("small", { textContent: c.facts })])]);
    }));
    said.textContent = !all.length ? "" : !found.length ? "No run has these words." : found.length > MOST ? `${found.length - MOST} more: type to narrow` : "";
  };
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => event.stopPropagation()); // letters are no shortcuts here
  const node = element("div", { className: "rp-picker" }, [input, list, said]);
  const load = async () => {
    try {
      all = await choices(await Runs.load(new URL("assets/index/runs.json", root).href, signal), root);
      show();
    } catch {
      if (!signal.aborted) said.textContent = "The list of runs could not be loaded.";
    }
  };
  return { node, load, show, focus: () => input.focus() };
}
