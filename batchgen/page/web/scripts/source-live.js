"use strict";
/* Where the viewer's page gets its data: from the server that it came from. */
(function (batchgen) {
  async function ask(path, options) {
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch {
      throw new Error("The viewer does not answer. Is `batchgen view` still running?");
    }
    const data = await answer.json().catch(() => null);
    if (!answer.ok) throw new Error(data?.error ?? `The viewer answered ${answer.status}.`);
    return data;
  }

  function post(path, body) {
    return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  /** Return the source of the viewer's page. */
  function liveSource() {
    const tiles = (filter, offset, limit, more = {}) => {
      const params = batchgen.filter.toParams(filter);
      for (const [name, value] of Object.entries({ offset, limit, ...more })) params.append(name, value);
      return ask(`/api/tiles?${params}`);
    };
    return {
      live: true,
      saves: "server",
      overview: () => ask("/api/overview"),
      tiles,
      async placeOf(filter, key, n) {
        const page = await tiles(filter, 0, 100, { around: key });
        const place = page.tiles.findIndex((tile) => tile.key === key && tile.n === n);
        return place < 0 ? -1 : page.offset + place;
      },
      detail: (key) => ask(`/api/items/${encodeURIComponent(key)}`),
      pick: (lines) => post("/api/picks", { picks: lines.map(({ key, n, sha256, pick, rating, reason }) => ({ key, n, sha256, pick, rating, reason })) }),
      /** `choice` also holds `most`: how many outputs the reader was told of. */
      pickAll: (filter, choice) => post("/api/picks/all", { filter, ...choice }),
      /** Call back with {keys, overview} when something changed, and with {connected} when the connection comes and goes. */
      onChange(callback) {
        let lost = false;
        const connect = () => {
          const events = new EventSource("/api/events");
          events.addEventListener("open", () => {
            // What changed while nobody listened is not told again: look at everything.
            callback({ connected: true, keys: lost ? null : [], overview: lost });
            lost = false;
          });
          events.addEventListener("change", (event) => callback(JSON.parse(event.data)));
          events.addEventListener("error", () => {
            lost = true;
            callback({ connected: false, keys: [], overview: false });
            if (events.readyState === EventSource.CLOSED) setTimeout(connect, 3000); // refused: it does not try again
          });
        };
        connect();
      },
    };
  }

  batchgen.makeSource = liveSource;
})((globalThis.batchgen ??= {}));
