"use strict";
/* What the gallery shows: a filter as a value, in the address and in a request. Pure. */
(function (batchgen) {
  const LISTS = ["model", "state", "tag", "flag", "pick", "rating"];

  function emptyFilter() {
    return { text: "", model: [], state: [], tag: [], flag: [], pick: [], rating: [] };
  }

  function isEmpty(filter) {
    return !filter.text && LISTS.every((name) => filter[name].length === 0);
  }

  /** The words of a text, as they are searched for. */
  function words(text) {
    return text.toLowerCase().split(/\s+/).filter(Boolean);
  }

  /** The filter as parameters of an address. */
  function toParams(filter) {
    const params = new URLSearchParams();
    if (filter.text) params.append("text", filter.text);
    for (const name of LISTS) for (const value of filter[name]) params.append(name, value);
    return params;
  }

  function fromParams(params) {
    const filter = emptyFilter();
    filter.text = params.get("text") ?? "";
    for (const name of LISTS) filter[name] = [...new Set(params.getAll(name))];
    filter.rating = filter.rating.map(Number).filter((rating) => Number.isInteger(rating) && rating >= 0 && rating <= 5);
    filter.pick = filter.pick.filter((pick) => ["keep", "reject", "none"].includes(pick));
    return filter;
  }

  /** What an address says behind its `#`: the filter, and which output is open ({key, n} or null). */
  function readHash(hash) {
    const params = new URLSearchParams(hash.replace(/^#/, ""));
    const open = /^(\d{1,15})\.(\d{1,6})$/.exec(params.get("item") ?? "");
    return { filter: fromParams(params), open: open && { key: Number(open[1]), n: Number(open[2]) } };
  }

  function writeHash(filter, open) {
    const params = toParams(filter);
    if (open) params.append("item", `${open.key}.${open.n}`);
    const text = params.toString();
    return text ? `#${text}` : "";
  }

  /** A filter with one value more or less. */
  function toggled(filter, name, value) {
    const has = filter[name].includes(value);
    return { ...filter, [name]: has ? filter[name].filter((other) => other !== value) : [...filter[name], value] };
  }

  /** Whether what is shown depends on picks. */
  function dependsOnPicks(filter) {
    return filter.pick.length > 0 || filter.rating.length > 0;
  }

  /** The filter as removable conditions: [{name, value, label}]. */
  function conditions(filter) {
    const label = {
      model: (value) => value,
      state: (value) => `State: ${batchgen.text.stateWord(value)}`,
      tag: (value) => value.replace("=", ": "),
      flag: (value) => (value === "any" ? "Any flag" : `Flag: ${value.replace(/_/g, " ")}`),
      pick: (value) => ({ keep: "Kept", reject: "Rejected by you", none: "Not picked" })[value],
      rating: (value) => (value ? `${"★".repeat(value)}` : "Not rated"),
    };
    const found = filter.text ? [{ name: "text", value: filter.text, label: `“${filter.text}”` }] : [];
    for (const name of LISTS) for (const value of filter[name]) found.push({ name, value, label: label[name](value) });
    return found;
  }

  Object.assign(batchgen, {
    filter: { conditions, dependsOnPicks, emptyFilter, fromParams, isEmpty, readHash, toggled, toParams, words, writeHash },
  });
})((globalThis.batchgen ??= {}));
