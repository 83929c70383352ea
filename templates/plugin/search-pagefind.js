/**
 * The worker that the theme's search dialog asks, in place of its own: messages are those of
 * Material's `SearchMessageType`. Pagefind finds where the words stand, each word by itself; this
 * file puts that together, as neither a word's rarity nor its absence can be seen from within one
 * bundle. `plugin/shards.py` writes the bundles and says how a word stands in them.
 */
const [SETUP, READY, QUERY, RESULT] = [0, 1, 2, 3];
const END = "\u0298", POINT = "\u0297", PAIR = "\u01c2";
const NAMES = 8, TITLE = 24; // first position behind the names, behind the title
const SHOWN = 12;
const KEPT = 20000; // places of words that stay in memory
const SITE = new URL("../../../", self.location.href);
const WEIGHT = { name: 3, title: 3, text: 1, beginning: 0.5, together: 1, list: 0.3 };

let shards = [];
let asked = 0;
let bundles;
const found = new Map();

addEventListener("message", async ({ data: { type, data } }) => {
  if (type === SETUP) {
    shards = data.config.shards;
    postMessage({ type: READY });
  } else if (type === QUERY) {
    const number = ++asked;
    const items = await answer(data, () => number !== asked).catch(excuse);
    if (number === asked) postMessage({ type: RESULT, data: { items } });
  }
});

/** Items of the dialog for a query; none once it is `outdated`. */
async function answer(query, outdated) {
  const words = [...new Set(wordsOf(query))];
  if (!words.length) return [];
  bundles ??= Promise.race([open(), failure()]);
  const pagefind = await bundles.catch((error) => {
    bundles = undefined;
    throw error;
  });
  const once = wordsOf(query).filter((word, at, all) => word !== all[at - 1]);
  const whole = written(once.join(""), END) + END;
  const terms = words.map((word) => ({ word, rarity: Math.log(1 + entries()) }));
  let pages = [];
  for (const enough of [SHOWN, 0]) {
    const held = await holding(pagefind, terms, enough, outdated);
    if (outdated()) return [];
    let best = [...held.values()];
    if (best.length > SHOWN) {
      const named = await placesOf(pagefind, whole);
      const value = (one) => score(terms, (term) => placesIn(term, one.id), one.id, named.has(one.id));
      best = best.map((one) => [value(one), one]).sort(byValue).slice(0, SHOWN).map(([, one]) => one);
    }
    pages = await Promise.all(best.map((one) => read(one, terms, whole)));
    const complete = pages.filter(({ missing }) => !missing.length);
    if (complete.length) pages = complete;
    if (complete.length) break;
  }
  return grouped(pages.sort((one, other) => other.score - one.score), words, query);
}

/** Best first; of equals those of a later month. */
const byValue = ([one, { id }], [other, { id: otherId }]) => other - one || (otherId > id) - (otherId < id);

/** All bundles as one; a first query begins this, so that a page without one loads nothing. */
async function open() {
  const path = (name) => new URL(`search/pagefind/${name}/`, SITE).href;
  const [first, tag] = shards.find(([name]) => name === "pages");
  const { createInstance } = await import(`${path(first)}pagefind.js`);
  const pagefind = createInstance({ basePath: path(first), metaCacheTag: tag });
  const others = shards.filter(([name]) => name !== first);
  await Promise.all(others.map(([name, tag]) => pagefind.mergeIndex(path(name), { metaCacheTag: tag })));
  return pagefind;
}

/** Pagefind waits for ever for a program that the policy forbids or that is not there. */
const failure = () => new Promise((_, reject) => {
  addEventListener("unhandledrejection", ({ reason }) => reject(reason), { once: true });
});

const entries = () => shards.reduce((sum, [, , count]) => sum + count, 0);
const written = (word, before = "") => before + word.replaceAll(".", POINT);

/** Where a word stands: results by id. */
function placesOf(pagefind, word) {
  if (!found.has(word)) {
    const places = pagefind.search(word).then(({ results }) => new Map(results.map((one) => [one.id, one])));
    found.set(word, places);
    places.then(({ size }) => forget(word, size), () => found.delete(word));
  }
  return found.get(word);
}

/** Results are large where a word is common: the oldest go when there are too many of them. */
let keptPlaces = 0;
const sizes = new Map();
function forget(word, size) {
  sizes.set(word, size);
  keptPlaces += size;
  for (const [old, count] of sizes) {
    if (keptPlaces <= KEPT) break;
    keptPlaces -= count;
    sizes.delete(old);
    found.delete(old);
  }
}

/** The term's places: as it is written, and of words that begin with it if it stands alone or is unknown. */
async function search(pagefind, term, alone) {
  const word = written(term.word);
  term.exact = term.places = await placesOf(pagefind, word + END);
  if (!term.exact.size || (alone && term.word.length > 2 && !term.word.includes("."))) {
    await pagefind.preload(`${word}\u9fa5`); // such words may go on in the next file
    term.places = await placesOf(pagefind, word);
  }
  term.rarity = Math.log(1 + (entries() - term.places.size + 0.5) / (term.places.size + 0.5));
}

const both = (one, other) => new Map([...one].filter(([id]) => other.has(id)));
const isNumber = (word) => /^\d/.test(word);

/**
 * Results that hold all words. Numbers with the word before them first, then long words, as they are
 * rare: once no more than `enough` results are left, the pages themselves tell of the other words. If
 * none holds all, those that hold most.
 */
async function holding(pagefind, terms, enough, outdated) {
  let left;
  let open = [...terms];
  for (const [number, term] of enough ? terms.entries() : []) {
    const before = terms[number - 1];
    if (!before || !isNumber(term.word) || isNumber(before.word)) continue;
    const pairs = await placesOf(pagefind, PAIR + written(before.word, "") + PAIR + written(term.word) + END);
    if (!pairs.size) continue;
    left = left ? both(left, pairs) : pairs;
    open = open.filter((one) => one !== term && one !== before);
  }
  const rare = ({ word }) => word.length + (/\d/.test(word) ? 3 : 0);
  for (const term of open.sort((one, other) => rare(other) - rare(one))) {
    if (outdated() || (left?.size && left.size <= enough)) break;
    if (!term.places) await search(pagefind, term, terms.length === 1);
    left = left ? both(left, term.places) : term.places;
  }
  if (left.size || enough || outdated()) return left;
  const told = new Map();
  for (const { places, rarity } of terms) for (const id of places.keys()) told.set(id, (told.get(id) ?? 0) + rarity);
  const most = Math.max(...told.values()) - 1e-9;
  for (const { places } of terms) for (const [id, one] of places) if (told.get(id) >= most) left.set(id, one);
  return left;
}

/** Positions of a term in a result, and whether it stands there as it is written. */
function placesIn({ exact, places }, id) {
  const whole = exact?.get(id);
  return { at: (whole ?? places?.get(id))?.words ?? [], whole: !!whole };
}

function score(terms, placesOfTerm, id, named) {
  let sum = 0;
  let before = [];
  terms.forEach((term, number) => {
    const { at, whole } = placesOfTerm(term);
    if (at.length) {
      const title = at.some((place) => place >= NAMES && place < TITLE);
      sum += term.rarity * (whole ? 1 : WEIGHT.beginning) * (title ? WEIGHT.title : WEIGHT.text);
      const together = number && at.some((place) => place >= NAMES && before.includes(place - 1));
      if (together) sum += WEIGHT.together * Math.min(term.rarity, terms[number - 1].rarity);
    }
    before = at;
  });
  if (id.startsWith("lists_")) sum *= WEIGHT.list;
  return named ? sum + WEIGHT.name * terms.reduce((rarity, term) => rarity + term.rarity, 0) : sum;
}

/** What is shown of a result, and how it answers the query: its page holds all of its words. */
async function read(one, terms, whole) {
  const { url, content } = await one.data();
  const words = content.split(" ");
  const placesOfTerm = (term) => {
    const places = (test) => words.flatMap((word, at) => (test(word) ? [at] : []));
    const exact = places((word) => word === written(term.word) + END);
    return exact.length ? { at: exact, whole: true } : { at: places((word) => word.startsWith(written(term.word))), whole: false };
  };
  const missing = terms.filter((term) => !placesOfTerm(term).at.length).map(({ word }) => word);
  return { ...JSON.parse(url.slice(2)), missing, score: score(terms, placesOfTerm, one.id, words.includes(whole)) };
}

/** Sections of one page are one item, the page itself first. */
function grouped(pages, words, query) {
  const items = new Map();
  const marks = marker(words, query);
  for (const { l: location, t: title, x: text, g: tags, score, missing } of pages) {
    const page = location.split("#")[0];
    const terms = Object.fromEntries(words.map((word) => [word, !missing.includes(word)]));
    const entry = { location, title: marks(title), text: teaser(text, marks), score, terms, ...(tags && { tags: tags.map(safe) }) };
    if (!items.has(page)) items.set(page, []);
    items.get(page).push(entry);
  }
  return [...items.values()].map((item) => item.sort((one, other) => one.location.includes("#") - other.location.includes("#")));
}

const safe = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Text as HTML, words of the query marked where one begins so. */
function marker(words, query) {
  const forms = [...new Set([...words, ...query.toLowerCase().split(/\s+/)])].filter(Boolean).sort((one, other) => other.length - one.length);
  const known = forms.map((form) => form.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
  const parts = new RegExp(`(?<![\\p{L}\\p{N}])(${known})`, "giu");
  return (text) => text.split(parts).map((part, at) => (at % 2 ? `<mark>${safe(part)}</mark>` : safe(part))).join("");
}

/** The line that holds most of the query, from a little before its first word. */
function teaser(text, marks) {
  let [best, most] = ["", -1];
  for (const line of text.split("\n")) {
    const first = marks(line).indexOf("<mark>");
    const count = new Set(marks(line).match(/<mark>.*?<\/mark>/g)?.map((mark) => mark.toLowerCase())).size;
    if (count > most) [best, most] = [{ line, first }, count];
  }
  if (!best) return "";
  const from = best.first > 80 ? best.line.indexOf(" ", best.first - 60) + 1 : 0;
  const cut = best.line.slice(from, from + 220);
  return `<p>${from ? "… " : ""}${marks(cut)}${from + 220 < best.line.length ? " …" : ""}</p>`;
}

/** What the dialog shows when the search cannot work, instead of "no results". */
function excuse(error) {
  console.error("search:", error);
  const text = "A Content-Security-Policy needs script-src 'self' 'wasm-unsafe-eval' for it; else the files below search/pagefind are missing.";
  return [[{ location: "", title: "The search could not start", text: `<p>${safe(text)}</p>`, score: 1, terms: {} }]];
}
