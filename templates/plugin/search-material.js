/**
 * Put before the theme's search worker by the plugin. The worker cuts a query at each `-`, so of
 * `3e-4` it would look for `3e` and for whatever begins with a 4: a number with an exponent is handed
 * on as it is written out, which every run's entry holds too. And it takes any of the words for a
 * find: results that lack fewer of them come first.
 */
addEventListener("message", (event) => {
  const { type, data } = event.data ?? {};
  if (type !== 2 || typeof data !== "string") return; // 2: a query
  const plain = data.replace(/(?<![\w.])\d+(?:\.\d+)?e[+-]?\d+(?![\w.])/gi, (text) => {
    const words = wordsOf(text);
    return words.length === 1 ? words[0] : text;
  });
  if (plain === data) return;
  event.stopImmediatePropagation();
  dispatchEvent(new MessageEvent("message", { data: { type, data: plain } }));
});

const answerOfTheme = self.postMessage.bind(self);
self.postMessage = (message, ...more) => {
  const lacking = (item) => Math.min(...item.map(({ terms }) => Object.values(terms).filter((there) => !there).length));
  if (message?.type === 3) message.data.items.sort((one, other) => lacking(one) - lacking(other)); // 3: results
  answerOfTheme(message, ...more);
};
