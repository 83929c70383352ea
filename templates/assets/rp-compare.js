// The compare page: puts its parts together for the runs that the address names. Everything is made of the
// files beside the runs' pages; text out of a run is always text.
// @ts-check
import { grid, tools, width } from "./rp-compare-curves.js";
import { named, rules as rulesOf, side as sideOf } from "./rp-compare-data.js";
import { chosen, judge } from "./rp-compare-judge.js";
import { many } from "./rp-compare-many.js";
import { environment, samples } from "./rp-compare-more.js";
import { picker } from "./rp-compare-pick.js";
import { STYLES, escaped, markdown, swatch, table } from "./rp-compare-sheet.js";
import { MOST, keep, parsed } from "./rp-compare-state.js";
import * as tables from "./rp-compare-tables.js";
import { look } from "./rp-look.js";
import { element } from "./rp-tools.js";
import { number } from "./rp-units.js";

/** @typedef {import("./rp-compare-data.js").Side} Side */
/** @typedef {import("./rp-compare-sheet.js").Sheet} Sheet */

const SENTENCES = 4;
const SEEDS = 12;

/** Those that are known, as many as one reads. @param {Side} side */
function seedsOf(side) {
  const known = side.runs.map((r) => r.seed).filter((seed) => seed !== null);
  const absent = side.runs.length - known.length;
  if (!known.length) return "not logged";
  const told = known.slice(0, SEEDS).join(", ") + (known.length > SEEDS ? ", …" : "");
  return absent ? `${told}, ${absent} not logged` : told;
}

class Compare {
  /** @param {HTMLElement} root @param {string} section @param {AbortSignal} signal */
  constructor(root, section, signal) {
    this.root = root;
    this.section = section;
    this.signal = signal;
    this.state = parsed(location.search);
    this.turn = 0;
    this.picker = picker(section, () => new Set(this.state.runs), (slug, on) => { void this.pick(slug, on); }, signal);
    this.choose = element("div", { hidden: true }, [this.picker.node]);
    this.body = element("div");
    this.said = element("output", { className: "rp-quiet" });
    this.chips = this.buttons();
    root.replaceChildren(this.chips, this.choose, this.body);
    /** @type {string[]} */
    this.text = [];
  }

  buttons() {
    const add = element("button", { type: "button", className: "rp-btn", textContent: "+ Add run", onclick: () => this.open(Boolean(this.choose.hidden)) });
    add.setAttribute("aria-expanded", "false");
    this.add = add;
    this.copies = [
      element("button", { type: "button", className: "rp-btn", textContent: "Copy as Markdown", onclick: () => this.copy(this.text.join("\n\n"), "no clipboard here") }),
      element("button", { type: "button", className: "rp-btn", textContent: "Copy link", onclick: () => this.copy(location.href, "the address bar has it") })];
    this.said.setAttribute("role", "status");
    return element("div", { className: "rp-cmp-chips" }, [add, ...this.copies, this.said]);
  }

  /** @param {boolean} on */
  open(on) {
    this.choose.hidden = !on;
    this.add?.setAttribute("aria-expanded", String(on));
    if (!on) return;
    void this.picker.load();
    this.picker.focus();
  }

  /** @param {string} text @param {string} otherwise */
  async copy(text, otherwise) {
    const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    this.said.textContent = done ? "copied" : otherwise;
    setTimeout(() => { this.said.textContent = ""; }, 3000);
  }

  /** @param {string} slug @param {boolean} on */
  async pick(slug, on) {
    const runs = this.state.runs.filter((s) => s !== slug);
    if (on) runs.push(slug);
    const base = runs.includes(this.state.base) ? this.state.base : runs[0] ?? "";
    this.state = { ...this.state, runs, base, view: { ...this.state.view, x: null } };
    await this.show();
    this.picker.show();
  }

  /** Fetches what is named and shows it; the newest call wins. */
  async show() {
    const turn = ++this.turn;
    const { runs, base } = this.state;
    keep(this.state);
    const order = [base, ...runs.filter((s) => s !== base)].filter(Boolean);
    /** @type {PromiseSettledResult<any>[]} */
    const [rules, ...sides] = await Promise.allSettled([rulesOf(this.section), ...order.map((slug) => sideOf(this.section, slug))]);
    if (turn !== this.turn || this.signal.aborted) return;
    const found = named(sides.flatMap((s) => (s.status === "fulfilled" ? [s.value] : [])));
    const unknown = order.filter((_, i) => sides[i].status === "rejected");
    const problems = unknown.map((slug) => `There is no run or group ${slug} here: it was withdrawn, is not published, or the address is mistyped.`);
    if (unknown.includes(base) && found.length > 1) problems.push(`The base is ${found[0].name} instead.`);
    if (this.state.dropped.length) problems.push(`Left out: ${this.state.dropped.slice(0, 5).join(", ")}${this.state.dropped.length > 5 ? "…" : ""} (no name of a run, or more than ${MOST}).`);
    if (rules.status === "rejected") problems.push("The rules of comparing could not be loaded: build the site anew.");
    for (const button of this.copies ?? []) button.hidden = found.length < 2;
    const body = found.length > 1 && rules.status === "fulfilled" ? this.sections(found, rules.value) : this.few(found);
    this.body.replaceChildren(...problems.map((p) => element("p", { className: "rp-warned", textContent: p })), ...body);
    if (found.length < 2 && this.choose.hidden) { this.choose.hidden = false; void this.picker.load(); this.add?.setAttribute("aria-expanded", "true"); }
    document.querySelectorAll(".rp-noscript").forEach((node) => { /** @type {HTMLElement} */ (node).hidden = true; });
    document.querySelectorAll(".rp-prebuilt").forEach((node) => { /** @type {HTMLElement} */ (node).hidden = found.length > 1; });
  }

  /** Too few runs to compare. @param {Side[]} found */
  few(found) {
    this.title("Compare runs");
    const how = found.length ? "Tick another run above to compare it with this one." : "Tick runs above, or in the table of all runs, to see them side by side.";
    return [...(found.length ? [this.legend(found)] : []),
      element("div", { className: "rp-empty" }, [element("p", {}, [element("b", { textContent: found.length ? "One run is no comparison" : "No runs chosen yet" })]), element("p", { textContent: how }),
        element("p", {}, [element("a", { href: new URL("browse/", this.section).href, textContent: "Table of all runs" }), " · a link to this page keeps what is compared"])])];
  }

  /** @param {string} words */
  title(words) {
    const head = document.querySelector(".rp-head h1");
    if (head) head.textContent = words;
  }

  /** @param {Side[]} sides */
  legend(sides) {
    const only = (/** @type {number | null} */ side) => {
      for (const line of this.body.querySelectorAll(".rp-clip path")) line.classList.toggle("off", side !== null && line.getAttribute("data-side") !== String(side));
    };
    return element("div", { className: `rp-legend${sides.length > tables.COLUMNS ? " rp-legend--many" : ""}` }, sides.map((side, i) => {
      const first = side.runs[0];
      const best = ["val_loss", "loss"].map((role) => first.main[role]).find(Boolean);
      const value = best ? first.metrics.find((/** @type {any[]} */ m) => m[0] === best)?.[5] : null;
      const facts = side.isGroup ? [`${side.runs.length} runs${side.mixed ? "" : `, seeds ${seedsOf(side)}`}`] : [first.project, first.state, typeof value === "number" ? `${best} ${number(value)}` : ""];
      const acts = [
        ...(i && sides.length > 1 ? [element("button", { type: "button", className: "rp-link", textContent: "make base", onclick: () => { this.state = { ...this.state, base: side.slug }; void this.show(); } })] : []),
        element("button", { type: "button", className: "rp-link", textContent: "remove", onclick: () => { void this.pick(side.slug, false); } })];
      acts.forEach((act) => act.setAttribute("aria-label", `${act.textContent}: ${side.name}`));
      const pointed = { onpointerenter: () => only(i), onpointerleave: () => only(null), onfocusin: () => only(i), onfocusout: () => only(null) };
      return element("div", pointed, [swatch(i), element("a", { href: side.url, textContent: side.name }), ...(i ? [] : [" ", element("span", { className: "rp-chip", textContent: "base" })]),
        element("small", { textContent: facts.filter(Boolean).join(" · ") }), element("span", { className: "rp-acts" }, acts)]);
    }));
  }

  /** @param {Side[]} sides @param {any} rules */
  sections(sides, rules) {
    const comparison = judge(sides, rules);
    const projects = [...new Set(sides.flatMap((s) => s.runs.map((r) => r.project)))];
    const title = `${sides.length} ${sides.some((s) => s.isGroup) ? "sides" : "runs"}${projects.length === 1 ? ` of ${projects[0]}` : ""}`;
    this.title(title);
    this.text = [`# ${escaped(title)}`, `Base: ${escaped(sides[0].name)}`, Object.values(comparison.verdicts).map(escaped).join("\n\n"),
      ...(comparison.warnings.length ? [`Read with care:\n\n${comparison.warnings.map((w) => `- ${escaped(w)}`).join("\n")}`] : [])];
    const repeats = sides.length > STYLES + 1 ? [element("p", { className: "rp-quiet", textContent: `Line styles repeat after ${STYLES} runs: point at a run here, or at a chart, to tell them apart.` })] : [];
    const out = [this.legend(sides), ...repeats, ...this.verdict(comparison, sides), ...this.care(comparison.warnings)];
    out.push(...this.sheet("figures", "Figures", tables.figures(comparison, sides, rules), "no figure is known for any of the runs"));
    out.push(...this.differing(comparison, sides, rules));
    const together = many(comparison, sides, rules);
    if (together) out.push(heading("settings", "Settings and results"), together);
    out.push(...this.curves(sides));
    const evaluations = tables.evaluations(comparison, sides);
    if (evaluations) out.push(...this.sheet("evals", "Evaluations", evaluations, ""));
    out.push(...this.sheet("cost", "Cost and goodput", tables.cost(comparison, sides, rules), "not known for any of the runs"));
    out.push(...this.findings(sides, rules));
    out.push(heading("samples", "Samples of the same prompt"), samples(sides, this.section));
    return out;
  }

  /** One sentence a side; of many first how many there are of each kind. @param {any} comparison @param {Side[]} sides */
  verdict(comparison, sides) {
    const sentences = /** @type {string[]} */ (Object.values(comparison.verdicts));
    if (sentences.length <= SENTENCES) return sentences.map((s) => element("p", { className: "rp-story", textContent: s }));
    const kinds = sides.slice(1).map((side) => chosen(sides[0], comparison.metrics.filter((/** @type {any} */ m) => m.run === side.slug))?.verdict || "without a verdict");
    const counts = ["better", "worse", "not told apart", "without a verdict"].map((kind) => [kinds.filter((k) => k === kind).length, kind]).filter(([n]) => n);
    const lead = `Of ${sentences.length} against ${sides[0].name}: ${counts.map(([n, kind]) => `${n} ${kind}`).join(", ")}.`;
    return [element("p", { className: "rp-story", textContent: lead }),
      element("details", { className: "rp-more" }, [element("summary", { textContent: `What can be said of each of the ${sentences.length}` }), ...sentences.map((s) => element("p", { textContent: s }))])];
  }

  /** @param {string[]} warnings */
  care(warnings) {
    if (!warnings.length) return [];
    const list = (/** @type {string[]} */ some) => element("ul", {}, some.map((w) => element("li", { textContent: w })));
    const rest = warnings.slice(8);
    return [element("div", { className: "rp-care" }, [element("b", {}, [element("i", { className: "rp-i" }), "Read with care"]), list(warnings.slice(0, 8)),
      ...(rest.length ? [element("details", { className: "rp-more" }, [element("summary", { textContent: `${rest.length} more` }), list(rest)])] : [])])];
  }

  /** @param {string} id @param {string} title @param {Sheet | null} sheet @param {string} none */
  sheet(id, title, sheet, none) {
    this.text.push(`## ${title}`, sheet ? markdown(sheet) : `n/a ${none}`);
    return [heading(id, title), sheet ? table(sheet) : element("p", {}, [element("span", { className: "rp-na", textContent: none })])];
  }

  /** @param {any} comparison @param {Side[]} sides @param {any} rules */
  differing(comparison, sides, rules) {
    const { differences } = comparison;
    const known = new Set(sides.flatMap((s) => s.runs.flatMap((r) => Object.keys(r.facts)))).size;
    const left = sides.filter((s) => s.runs.some((r) => r.facts_left)).map((s) => `${Math.max(...s.runs.map((r) => r.facts_left))} of ${s.name}`);
    const words = !known ? "None of the runs recorded a setting." : `Differences only: ${differences.length} of ${known} recorded settings, data, code and hardware.`;
    const cut = left.length ? ` Not compared for want of room: ${left.slice(0, 5).join(", ")}${left.length > 5 ? "…" : ""}; run.json holds them.` : "";
    this.text.push("## What differs", escaped(words + cut));
    const out = [heading("differences", "What differs"), element("p", { className: "rp-lede", textContent: words + cut })];
    if (differences.length) {
      const sheet = tables.differing(differences, sides);
      this.text.push(markdown(sheet));
      out.push(table(sheet));
      const most = sides.length > tables.COLUMNS ? 40 : 200;
      if (differences.length > most) out.push(element("p", { className: "rp-quiet", textContent: `The first ${most} of ${differences.length}; runpages compare prints all.` }));
    }
    const packages = environment(sides, this.section, rules);
    return packages ? [...out, packages] : out;
  }

  /** @param {Side[]} sides */
  curves(sides) {
    const place = element("div");
    /** @type {ReturnType<typeof tools>} */
    let controls;
    let waiting = 0;
    const draw = () => { waiting = 0; place.replaceChildren(grid(sides, this.state.view, change)); };
    const change = (/** @type {Partial<import("./rp-compare-curves.js").View>} */ some) => {
      this.state = { ...this.state, view: { ...this.state.view, ...some } };
      keep(this.state);
      controls.reset.hidden = !this.state.view.x;
      if (!waiting) waiting = requestAnimationFrame(draw);
    };
    controls = tools(sides, this.state.view, change);
    draw();
    return [heading("curves", "Curves"), controls.bar, place, element("p", { className: "rp-quiet", textContent: width(sides) })];
  }

  /** @param {Side[]} sides @param {any} rules */
  findings(sides, rules) {
    const { total, sheet } = tables.findings(sides, rules);
    if (!total) return this.sheet("findings", "Findings side by side", null, "no finding in any of the runs");
    const left = sides.reduce((sum, s) => sum + s.runs.reduce((n, r) => n + r.events_left, 0), 0);
    const [head, made] = this.sheet("findings", "Findings side by side", sheet, "");
    const notes = [total > sheet.rows.length ? `the first ${sheet.rows.length} of ${total} rows` : "", left ? `${left} further findings stand on the runs' pages` : ""].filter(Boolean).join("; ");
    return [head, element("p", { className: "rp-lede", textContent: "What stands out in several runs at the same steps points to the data or the schedule, what is in one alone to that run." }), made, ...(notes ? [element("p", { className: "rp-quiet", textContent: notes })] : [])];
  }
}

/** @param {string} id @param {string} title */
const heading = (id, title) => element("h2", { id, textContent: title });

/** Called by rp.js on a page that has the place for it; `signal` ends it. @param {AbortSignal} signal */
export async function start(signal) {
  const root = /** @type {HTMLElement | null} */ (document.querySelector("[data-rp-compare]"));
  if (!root) return;
  const compare = new Compare(root, new URL(root.dataset.rpCompare ?? "", document.baseURI).href, signal);
  await Promise.all([look("rp-compare.css", signal), compare.show()]);
  if (signal.aborted) return;
  root.hidden = false;
  root.dataset.rpReady = "";
}
