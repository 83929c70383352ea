// runpages: lets a reader pick which steps of a sample to see. Without it the newest stand in the page.
// @ts-check
import { kept, stored as storedFile } from "./rp-files.js";

/** @typedef {{id: string, group: number, kind: string, step?: number, text?: string}} Sample */

const SCHEMA = "runpages.samples/1";
const WORDS_MAX = 600;
const COMMON_MIN = 0.2;

/** @param {string} url @returns {Promise<Sample[]>} */
const stored = (url) => storedFile(url, SCHEMA).then(({ samples }) => samples);

/** @template {keyof HTMLElementTagNameMap} K @param {K} tag @param {string} [words] @param {string} [classes] @returns {HTMLElementTagNameMap[K]} */
function element(tag, words = "", classes = "") {
  const made = document.createElement(tag);
  made.textContent = words;
  if (classes) made.className = classes;
  return made;
}

/** @param {number | undefined} step */
const named = (step) => (step === undefined ? "step not logged" : `step ${step.toLocaleString("en-US")}`);

/** Places of a longest common subsequence of words, as pages/worddiff.py finds them. @param {string[]} one @param {string[]} two */
function common(one, two) {
  const width = two.length + 1;
  const lengths = new Uint16Array(width * (one.length + 1));
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = two.length - 1; j >= 0; j--) {
      const at = i * width + j;
      lengths[at] = one[i] === two[j] ? lengths[at + width + 1] + 1 : Math.max(lengths[at + width], lengths[at + 1]);
    }
  }
  /** @type {[Set<number>, Set<number>]} */
  const [left, right] = [new Set(), new Set()];
  for (let i = 0, j = 0; i < one.length && j < two.length;) {
    if (one[i] === two[j]) {
      left.add(i++);
      right.add(j++);
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
    else j++;
  }
  return [left, right];
}

/** @param {string[]} tokens @param {Set<number>} shared @param {"del" | "ins"} tag */
function marked(tokens, shared, tag) {
  const out = [];
  for (let i = 0; i < tokens.length;) {
    const same = shared.has(i);
    let stretch = "";
    for (; i < tokens.length && shared.has(i) === same; i++) stretch += tokens[i];
    const words = stretch.trimEnd();
    if (same || !words) out.push(stretch);
    else out.push(element(tag, words), stretch.slice(words.length));
  }
  return out;
}

/** The nodes of both texts, and what is to be said where no word is marked. @param {string} left @param {string} right @returns {[(Node | string)[], (Node | string)[], string]} */
function pair(left, right) {
  if (left === right) return [[left], [right], "the same text at both steps"];
  const [one, two] = [left, right].map((text) => text.match(/\S+\s*|\s+/g) ?? []);
  const most = Math.max(one.length, two.length);
  if (most <= WORDS_MAX) {
    const [a, b] = common(one.map((t) => t.trim()), two.map((t) => t.trim()));
    if (a.size >= COMMON_MIN * most) return [marked(one, a, "del"), marked(two, b, "ins"), ""];
  }
  return [[left], [right], "too little in common to mark words"];
}

/** @param {HTMLElement} group @param {Sample[]} samples */
function selectors(group, samples) {
  const columns = [...group.querySelectorAll(".rp-sample__t > div:not(.base)")].slice(0, 2);
  const note = group.querySelector(":scope > p > .rp-quiet") ?? element("span", "", "rp-quiet");
  group.querySelector("p")?.append(note);
  const picks = ["earlier", "later"].map((side, place) => {
    const pick = element("select", "", "rp-pick");
    pick.setAttribute("aria-label", `Step of the ${side} text`);
    samples.forEach((sample, i) => pick.append(new Option(named(sample.step), String(i))));
    pick.selectedIndex = Math.max(0, samples.length - 2 + place);
    return pick;
  });
  const show = () => {
    const chosen = picks.map((pick) => samples[pick.selectedIndex]);
    const [left, right, words] = pair(chosen[0].text ?? "", chosen[1].text ?? "");
    [left, right].forEach((nodes, i) => {
      const [small, pre, code] = [element("small"), element("pre"), element("code")];
      small.append(`${named(chosen[i].step)} · `, element("span", chosen[i].id, "rp-mono"));
      code.append(...nodes);
      pre.append(code);
      columns[i].replaceChildren(small, pre);
    });
    note.textContent = words;
  };
  picks.forEach((pick) => pick.addEventListener("change", show));
  return picks;
}

/** @param {HTMLElement} group */
function offerSteps(group) {
  const url = /** @type {HTMLElement | null} */ (group.closest("[data-rp-samples]"))?.dataset.rpSamples;
  if (!url || Number(group.dataset.rpSteps) < 3 || !group.querySelector(".rp-sample__t > div:not(.base) + div:not(.base) code")) return;
  const button = element("button", "other steps", "rp-pick");
  button.type = "button";
  group.querySelector("p")?.append(" ", button);
  button.addEventListener("click", async () => {
    try {
      const all = await stored(new URL(url, document.baseURI).href);
      const own = all.filter((s) => s.group === Number(group.dataset.rpGroup) && s.kind === "text");
      const picks = selectors(group, own);
      button.replaceWith(...picks);
      picks[0].focus();
    } catch {
      button.textContent = "could not be loaded; try again";
    }
  });
}

/** What only full runs have: more steps of a group's media; null where the site does not keep them.
 * @param {HTMLElement} group @returns {Promise<any>} */
async function moreOf(group) {
  const url = /** @type {HTMLElement | null} */ (group.closest("[data-rp-samples]"))?.dataset.rpSamples;
  const source = new URL(url ?? "", document.baseURI).href;
  const slug = source.split("/").at(-2) ?? "";
  if (!(await kept(source, slug))) return null;
  const { groups } = await storedFile(new URL("media.json", source).href, "runpages.media/1");
  const found = groups[group.dataset.rpGroup ?? ""];
  return found ? { ...found, beside: (/** @type {string} */ name) => new URL(name, source).href } : null;
}

/** @typedef {{step: number | string | null, src: string, width: number, height: number, place: number, of: number}} Frame */

/** @param {HTMLElement} film */
function offerFrames(film) {
  const group = /** @type {HTMLElement} */ (film.closest(".rp-sample"));
  const image = film.querySelector("img");
  /** @type {(number | string)[]} */
  const steps = JSON.parse(film.dataset.rpFrames ?? "[]");
  if (!image || steps.length < 2) return;
  const { src, width, height } = image;
  /** The newest is the first in the film. @type {Frame[]} */
  let frames = steps.map((step, place) => ({ step, src, width, height, place, of: steps.length }));
  const [slider, told] = [element("input", "", "rp-slider"), element("output")];
  slider.type = "range";
  slider.max = String(frames.length - 1);
  slider.value = slider.max;
  slider.setAttribute("aria-label", `Step of ${group.querySelector("b")?.textContent}`);
  const show = () => {
    const frame = frames[frames.length - 1 - Number(slider.value)];
    if (image.src !== frame.src) Object.assign(image, { src: frame.src, width: frame.width, height: frame.height });
    image.style.transform = frame.place ? `translateY(${(-100 * frame.place) / frame.of}%)` : "";
    told.textContent = typeof frame.step === "number" ? named(frame.step) : named(undefined);
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  /** All that a full run has, once somebody reaches for the slider. */
  const more = async () => {
    const found = frames.length < Number(group.dataset.rpSteps) ? await moreOf(group).catch(() => null) : null;
    if (!found?.strips) return;
    const at = frames[frames.length - 1 - Number(slider.value)].step;
    frames = found.strips.flatMap(([file, width, height, own]) =>
      own.map((/** @type {number | null} */ step, /** @type {number} */ place) => ({ step, src: found.beside(file), width, height, place, of: own.length })));
    const all = Number(group.dataset.rpSteps);
    if (frames.length < all) box.append(element("small", `${frames.length} of ${all.toLocaleString("en-US")} steps, the others in the archive`));
    slider.max = String(frames.length - 1);
    slider.value = String(frames.length - 1 - Math.max(0, frames.findIndex(({ step }) => step === at)));
    show();
  };
  for (const name of ["focus", "pointerenter"]) slider.addEventListener(name, () => { reached ??= more(); });
  /** @type {Promise<void> | undefined} */ let reached;
  slider.addEventListener("input", show);
  const box = element("div", "", "rp-steps");
  box.append(slider, told);
  film.querySelector(".rp-frame")?.after(box);
  show();
}

/** Sounds of older steps of a full run: a choice beside the newest. @param {HTMLElement} group @param {HTMLAudioElement} audio */
function offerSounds(group, audio) {
  if (Number(group.dataset.rpSteps) < 2) return;
  const button = element("button", "other steps", "rp-pick");
  button.type = "button";
  group.querySelector("p")?.append(" ", button);
  button.addEventListener("click", async () => {
    const found = await moreOf(group).catch(() => null);
    if (!found?.sounds) {
      button.replaceWith(element("span", "other steps are kept of the site's newest runs only", "rp-quiet"));
      return;
    }
    const pick = element("select", "", "rp-pick");
    pick.setAttribute("aria-label", "Step of the sound");
    for (const [step, file] of found.sounds) pick.append(new Option(named(step ?? undefined), found.beside(file)));
    const when = audio.parentElement?.querySelector("small");
    pick.addEventListener("change", () => {
      audio.src = pick.value;
      if (when) when.textContent = pick.selectedOptions[0].text;
    });
    button.replaceWith(pick);
    pick.focus();
  });
}

/** @param {AbortSignal} signal */
export function start(signal) {
  if (signal.aborted) return;
  for (const group of document.querySelectorAll(".rp-sample[data-rp-group]")) {
    const one = /** @type {HTMLElement} */ (group);
    if (one.dataset.rpReady) continue;
    one.dataset.rpReady = "1";
    offerSteps(one);
    const film = one.querySelector(".rp-film");
    if (film) offerFrames(/** @type {HTMLElement} */ (film));
    const sounds = one.querySelectorAll("audio");
    if (sounds.length === 1) offerSounds(one, sounds[0]);
  }
}
