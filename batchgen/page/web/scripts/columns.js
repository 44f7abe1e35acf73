"use strict";
/* The outputs of a report as columns: a hundred thousand of them are searched in a few milliseconds. Pure. */
(function (batchgen) {
  const KINDS = ["", "image", "video"];
  const NOTHING = { pick: "", rating: 0, reason: "" };

  /**
   * Return a store of the tiles of an index.
   *
   * `picked(key, n)` returns what the reader said of an output since the report was made, or undefined.
   */
  function makeStore(index, picked = () => undefined) {
    const { items, outputs } = index;
    const rows = tileRows(items.key.length, outputs.item);
    let search = null;

    function said(tile) {
      const row = rows.output[tile];
      if (row < 0) return NOTHING;
      const mine = picked(items.key[rows.item[tile]], outputs.n[row]);
      if (mine) return mine;
      const known = outputs.picks?.[row];
      return known ? { pick: known[0], rating: known[1] ?? 0, reason: known[2] ?? "" } : NOTHING;
    }

    function tile(place) {
      const item = rows.item[place];
      const row = rows.output[place];
      const sha256 = row < 0 ? "" : outputs.sha256[row];
      return {
        key: items.key[item], id: items.id[item], n: row < 0 ? 0 : outputs.n[row], of: rows.of[item],
        state: index.states[items.state[item]], model: index.models[items.model[item]],
        kind: row < 0 ? "" : KINDS[outputs.kind[row]], file: row < 0 ? "" : outputs.file[row],
        thumb: batchgen.text.thumbPath(sha256), sha256,
        width: (row >= 0 && outputs.width[row]) || null, height: (row >= 0 && outputs.height[row]) || null,
        duration_s: (row >= 0 && outputs.duration_s[row]) || null, bytes: row < 0 ? 0 : outputs.bytes[row],
        flags: ((row >= 0 && outputs.flags?.[row]) || []).map((flag) => index.flags[flag]),
        tags: Object.fromEntries((items.tags[item] || []).map((tag) => splitTag(index.tags[tag]))),
        net_usd: items.net_usd?.[item], prompt: index.texts ? searching().prompt(item) : "", error: items.error?.[item] ?? "", ...said(place),
      };
    }

    /** The places of the tiles that a filter shows, in order. */
    function select(filter) {
      const wanted = itemTest(filter);
      const also = outputTest(filter);
      const found = new Int32Array(rows.item.length);
      let length = 0;
      let last = -1;
      let keep = false;
      for (let place = 0; place < rows.item.length; place++) {
        const item = rows.item[place];
        if (item !== last) {
          last = item;
          keep = wanted === null || wanted(item);
        }
        if (keep && (also === null || also(place))) found[length++] = place;
      }
      return found.subarray(0, length);
    }

    /** The prompts, which come later than all else where they are many. */
    function searching() {
      return (search ??= batchgen.makeSearch(index.texts, items.id));
    }

    function itemTest(filter) {
      const tests = [];
      const any = (name, list, column) => {
        if (!filter[name].length) return;
        const numbers = new Set(filter[name].map((value) => list.indexOf(value)));
        tests.push((item) => numbers.has(column[item]));
      };
      any("model", index.models, items.model);
      any("state", index.states, items.state);
      if (filter.tag.length) {
        const numbers = new Set(filter.tag.map((tag) => index.tags.indexOf(tag)));
        tests.push((item) => (items.tags[item] || []).some((tag) => numbers.has(tag)));
      }
      const words = batchgen.filter.words(filter.text);
      if (words.length) {
        const counts = searching().count(words);
        tests.push((item) => counts[item] === words.length);
      }
      return tests.length ? (item) => tests.every((test) => test(item)) : null;
    }

    function outputTest(filter) {
      const tests = [];
      if (filter.flag.length) {
        const numbers = new Set(filter.flag.map((flag) => index.flags.indexOf(flag)));
        const any = filter.flag.includes("any");
        tests.push((place) => {
          const flags = outputs.flags?.[rows.output[place]] ?? [];
          return any ? flags.length > 0 : flags.some((flag) => numbers.has(flag));
        });
      }
      if (filter.pick.length) {
        const picks = new Set(filter.pick.map((pick) => (pick === "none" ? "" : pick)));
        tests.push((place) => rows.output[place] >= 0 && picks.has(said(place).pick));
      }
      if (filter.rating.length) {
        const ratings = new Set(filter.rating);
        tests.push((place) => rows.output[place] >= 0 && ratings.has(said(place).rating));
      }
      return tests.length ? (place) => tests.every((test) => test(place)) : null;
    }

    /** How many outputs are kept, rejected and neither. */
    function picks() {
      const found = { keep: 0, reject: 0, unpicked: 0 };
      for (let place = 0; place < rows.item.length; place++) {
        if (rows.output[place] >= 0) found[said(place).pick || "unpicked"] += 1;
      }
      return found;
    }

    /** Whether the tile at a place shows this output. */
    function isAt(place, key, n) {
      const row = rows.output[place];
      return items.key[rows.item[place]] === key && (row < 0 ? 0 : outputs.n[row]) === n;
    }

    return { isAt, picks, prepare: () => searching().prepare(), itemNumber: (key) => items.key.indexOf(key), select, tile, total: rows.item.length };
  }

  /** For each tile its item and its row of outputs (-1: the item has none), and for each item how many it has. */
  function tileRows(items, itemOfOutput) {
    const of = new Uint16Array(items);
    for (const item of itemOfOutput) of[item]++;
    let total = itemOfOutput.length;
    for (const number of of) if (!number) total++;
    const rows = { item: new Int32Array(total), output: new Int32Array(total), of };
    let output = 0;
    let place = 0;
    for (let item = 0; item < items; item++) {
      if (!of[item]) {
        rows.item[place] = item;
        rows.output[place++] = -1;
      }
      for (; output < itemOfOutput.length && itemOfOutput[output] === item; output++) {
        rows.item[place] = item;
        rows.output[place++] = output;
      }
    }
    return rows;
  }

  /** Return the columns of all items of these chunks; what is by number counts from the beginning of the whole. */
  function joined(chunks) {
    const join = (part) => Object.fromEntries(Object.keys(chunks[0][part]).map((name) => {
      const columns = chunks.map((chunk) => chunk[part][name]);
      return [name, Array.isArray(columns[0]) ? [].concat(...columns) : Object.assign({}, ...columns)];
    }));
    return { items: join("items"), outputs: join("outputs") };
  }

  function splitTag(tag) {
    const at = tag.indexOf("=");
    return [tag.slice(0, at), tag.slice(at + 1)];
  }

  Object.assign(batchgen, { columns: { joined, makeStore } });
})((globalThis.batchgen ??= {}));
