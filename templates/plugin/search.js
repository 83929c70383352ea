/**
 * Put before the theme's search worker by the plugin. The worker cuts a query at each `-`, so of
 * `3e-4` it would look for `3e` and for whatever begins with a 4. A number with such an exponent is
 * therefore handed on as it is written out, which every run's entry holds too.
 */
addEventListener("message", (event) => {
  const { type, data } = event.data ?? {};
  if (type !== 2 || typeof data !== "string") return; // 2: a query
  const plain = data.replace(/(?<![\w.])\d+(?:\.(\d+))?e-(\d{1,2})(?![\w.])/gi, (text, part = "", power) =>
    Number(text).toFixed(part.length + Number(power)).replace(/\.?0+$/, "") || "0");
  if (plain === data) return;
  event.stopImmediatePropagation();
  dispatchEvent(new MessageEvent("message", { data: { type, data: plain } }));
});
