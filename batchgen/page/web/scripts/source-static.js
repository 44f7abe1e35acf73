"use strict";
/* Where a report's page gets its data: from the page itself, or from the scripts in `report/` beside it. */
(function (batchgen) {
  const waiting = new Map(); // by the name of a script beside the page, what takes its data

  /** Take the data that are written in the comment of a function. */
  globalThis.batchgenPart = (name, holder) => {
    const text = holder.toString();
    waiting.get(name)?.(JSON.parse(text.slice(text.indexOf("/*") + 2, -3)));
  };

  function embedded(id) {
    const element = document.getElementById(id);
    return element === null ? null : JSON.parse(element.textContent);
  }

  /** Load a script beside the page: a page that was opened from disk may not fetch anything. */
  function loaded(name, path) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      waiting.set(name, (data) => {
        waiting.delete(name);
        script.remove();
        resolve(data);
      });
      script.src = batchgen.text.address(path);
      script.onerror = () => reject(new Error(`${path} is missing: copy the folder report/ along with report.html`));
      document.head.append(script);
    });
  }

  /** Load the index of a large report: scripts of some thousand items each, joined to one set of columns. */
  async function loadedIndex(files) {
    const chunks = files.index.map((path, number) => loaded(`index-${number}`, path));
    return { ...files, ...batchgen.columns.joined(await Promise.all(chunks)) };
  }

  /** Load the ids and prompts of a large report, one script after the other: all at once would take much memory. */
  async function loadedTexts(paths) {
    const found = [];
    for (const [number, path] of paths.entries()) found.push(await loaded(`text-${number}`, path));
    return found;
  }

  /** The picks that were made in this browser, for one run. */
  function browserPicks(runId) {
    const place = `batchgen picks ${runId}`;
    const picks = new Map();
    try {
      for (const line of JSON.parse(localStorage.getItem(place) ?? "[]")) picks.set(`${line.key}.${line.n}`, line);
    } catch {
      // Storage is forbidden, or somebody wrote something else there: picks then live as long as the page.
    }
    return {
      get: (key, n) => picks.get(`${key}.${n}`),
      all: () => [...picks.values()],
      save(lines) {
        for (const line of lines) picks.set(`${line.key}.${line.n}`, line);
        try {
          localStorage.setItem(place, JSON.stringify([...picks.values()]));
        } catch {
          throw new Error("The browser does not keep picks for this page: save them before you close it.");
        }
      },
    };
  }

  function now() {
    return `${new Date().toISOString().slice(0, 19)}Z`;
  }

  /** Return the source of a report's page. */
  function staticSource() {
    const overview = embedded("overview");
    const files = embedded("files");
    const index = files ? loadedIndex(files) : Promise.resolve().then(() => embedded("index"));
    const picks = browserPicks(overview.run_id ?? overview.run);
    const store = index.then((data) => batchgen.columns.makeStore(data, picks.get));
    const parts = new Map();
    let last = { filter: "", places: null };
    let loading = null;

    async function selected(filter) {
      if (filter.text) await texts();
      const text = JSON.stringify(filter);
      if (last.places === null || last.filter !== text) last = { filter: text, places: (await store).select(filter) };
      return last.places;
    }

    /** Bring the prompts of a large report, which are not needed for a first look. */
    async function texts() {
      const data = await index;
      if (data.texts) return;
      loading ??= loadedTexts(files.text);
      data.texts = await loading;
    }

    async function part(number) {
      if (!parts.has(number)) {
        if (parts.size >= 8) parts.delete(parts.keys().next().value);
        parts.set(number, files ? loaded(`part-${number}`, files.parts[number]) : Promise.resolve(embedded(`part-${number}`)));
      }
      return parts.get(number);
    }

    function withPick(output, key) {
      const mine = picks.get(key, output.n);
      return mine ? { ...output, pick: mine.pick, rating: mine.rating, reason: mine.reason } : output;
    }

    async function pick(lines) {
      const at = now();
      try {
        picks.save(lines.map((line) => ({ ...line, at })));
      } finally {
        last = { filter: "", places: null };
      }
    }

    if (files) {
      // After the first look. What fails here is told where somebody searches.
      index.then(() => setTimeout(() => texts().then(async () => (await store).prepare()).catch(() => {}), 300));
    }

    return {
      live: false,
      saves: "browser",
      async overview() {
        return picks.all().length ? { ...overview, picks: (await store).picks() } : overview;
      },
      async tiles(filter, offset, limit) {
        const places = await selected(filter);
        const { tile } = await store;
        return { total: places.length, offset, tiles: Array.from(places.subarray(offset, offset + limit), tile) };
      },
      /** Where an output stands among those that a filter shows; -1 if it is not among them. */
      async placeOf(filter, key, n) {
        const places = await selected(filter);
        const { isAt } = await store;
        return places.findIndex((place) => isAt(place, key, n));
      },
      async detail(key) {
        const { part_size: size } = await index;
        const item = (await store).itemNumber(key);
        if (item < 0) return null;
        const detail = (await part(Math.floor(item / size)))[item % size];
        return { ...detail, outputs: detail.outputs.map((output) => withPick(output, key)) };
      },
      pick,
      async pickAll(filter, { pick: choice, rating, reason }) {
        const { tile } = await store;
        const lines = Array.from(await selected(filter), tile).filter(({ n }) => n > 0).map((given) => ({
          key: given.key, n: given.n, id: given.id,
          pick: choice ?? given.pick, rating: rating ?? given.rating, reason: reason ?? given.reason,
        }));
        await pick(lines);
        return { picked: lines.length };
      },
      onChange() {},
      /** How many picks were made in this browser, and the file that brings them into the run. */
      picked: () => picks.all().length,
      picksFile: () => batchgen.picksCsv(picks.all()),
    };
  }

  batchgen.makeSource = staticSource;
})((globalThis.batchgen ??= {}));
