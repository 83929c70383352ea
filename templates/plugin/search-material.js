/**
 * Put before the theme's search worker by the plugin. The worker cuts a query at each `-`, so of
 * `3e-4` it would look for `3e` and for whatever begins with a 4: a number with an exponent is handed
 * on as it is written out, which every run's entry holds too. And it takes any of the words for a
 * find: of its best results those that hold all words come first, of these what bears the query as
 * its name, then those where the words stand together.
 */
const LOOKED_THROUGH = 60;
let documents = new Map();
let words = [];

addEventListener("message", (event) => {
  const { type, data } = event.data ?? {};
  if (type === 0) documents = new Map(data.docs.map((one) => [one.location, one])); // 0: the index
  if (type !== 2 || typeof data !== "string") return; // 2: a query
  words = wordsOf(data);
  // as in search_words.py: a number of more than four digits has one notation
  const plain = data.replace(/(?<![\w.])\d(?:\.\d{1,3})?e[+-]?\d+(?![\w.])/gi, (text) => {
    const [number, ...more] = wordsOf(text);
    return more.length ? text : number;
  });
  if (plain === data) return;
  event.stopImmediatePropagation();
  dispatchEvent(new MessageEvent("message", { data: { type, data: plain } }));
});

/** Words that it lacks, whether it is called so, words that stand behind the one before them. */
function fitOf({ location, title, text }) {
  const held = wordsOf(`${title} | ${text.replace(/<[^>]*>/g, " ")}`);
  const whole = words.join("");
  const slug = location.split("#")[0].split("/").at(-2) ?? "";
  const names = [title, slug, ...(text ? [] : [title.replace(/^\S+ /, "")])]; // a listing: its kind, its name
  const follows = (word, at) => at && held.some((one, place) => one === word && held[place - 1] === words[at - 1]);
  return {
    lacking: words.filter((word) => !held.some((one) => one.startsWith(word))).length,
    named: names.some((name) => wordsOf(name).join("") === whole),
    together: words.filter(follows).length,
  };
}

const better = (one, other) => one.lacking - other.lacking || other.named - one.named || other.together - one.together;

function inOrder(items) {
  const looked = items.slice(0, LOOKED_THROUGH).map((item) => {
    const fits = item.flatMap(({ location }) => (documents.has(location) ? [fitOf(documents.get(location))] : []));
    return [fits.sort(better)[0], item];
  });
  const known = looked.every(([fit]) => fit);
  if (known) looked.sort(([one], [other]) => better(one, other));
  return [...looked.map(([, item]) => item), ...items.slice(LOOKED_THROUGH)];
}

const answerOfTheme = self.postMessage.bind(self);
self.postMessage = (message, ...more) => {
  if (message?.type === 3) message.data.items = inOrder(message.data.items); // 3: results
  answerOfTheme(message, ...more);
};
