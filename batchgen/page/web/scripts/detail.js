"use strict";
/* One output large, with everything that is known of its item. */
(function (batchgen) {
  const { copy, fill, h, hidden, icon, statePill, time } = batchgen.dom;
  const { address, bytes, clock, count, duration, isZero, plural, usd, value } = batchgen.text;

  /**
   * Return the dialog. `load(key)` brings a detail; `on` holds closed(), move(step), open(key, n), and act(tile, name, value).
   */
  function makeDetail({ load, on }) {
    const media = h("div.media", { tabindex: "-1", autofocus: true });
    const strip = h("div.strip", { role: "group", "aria-label": "Outputs of this item" });
    const facts = h("div.facts-panel", { tabindex: "0", role: "region", "aria-label": "What is known of it" });
    const name = h("h2.detail-title", { id: "detail-title" });
    const where = h("span.where");
    const picks = h("div.pick-bar", { role: "group", "aria-label": "Pick" });
    const step = (by, drawing, label) => h("button.step", { type: "button", "aria-label": label, title: label, on: { click: () => on.move(by) } }, icon(drawing));
    const [previous, next] = [step(-1, "left", "Previous output"), step(1, "right", "Next output")];
    const dialog = h("dialog.detail", { "aria-labelledby": "detail-title" },
      h("header.detail-head", null, name, where, h("span.spacer"),
        h("button.plain", { type: "button", "aria-label": "Close", title: "Close (Esc)", on: { click: () => dialog.close() } }, icon("cross"))),
      h("div.stage", null, previous, media, next), strip, h("aside.side", null, picks, facts));
    document.getElementById("overlays").append(dialog);
    dialog.addEventListener("close", () => {
      fill(media); // stops a video
      shown = null;
      on.closed();
    });
    let shown = null; // the tile
    let wanted = "";

    function showMedia(tile) {
      if (tile.kind === "video" && tile.file) {
        const video = h("video", { controls: true, preload: "metadata", playsinline: true, loop: true, "aria-label": `Video of ${tile.id}` });
        video.src = address(tile.file);
        video.addEventListener("error", () => fill(media, missing(tile)));
        fill(media, video);
      } else if (tile.kind === "image" && tile.file) {
        const image = h("img", { alt: tile.prompt || tile.id, width: tile.width, height: tile.height });
        image.addEventListener("error", () => fill(media, missing(tile)));
        image.src = address(tile.file);
        fill(media, image);
      } else {
        fill(media, batchgen.tile.picture(tile, { large: true }));
      }
    }

    function missing(tile) {
      return h("p.missing", null, icon("image"), `${tile.file} is not beside this page, or cannot be shown.`);
    }

    function showPicks(tile) {
      picks.hidden = !tile.n;
      const button = (act, drawing, label, key, pressed) =>
        h(`button.pick.${act}`, { type: "button", "aria-pressed": String(pressed), title: `${label} (${key})`, on: { click: () => on.act(shown, act) } }, icon(drawing), label);
      fill(picks, button("keep", "check", tile.pick === "keep" ? "Kept" : "Keep", "K", tile.pick === "keep"),
        button("reject", "cross", tile.pick === "reject" ? "Rejected" : "Reject", "X", tile.pick === "reject"),
        h("span.rating", { role: "group", "aria-label": `Rating: ${tile.rating || "none"}` }, [1, 2, 3, 4, 5].map((rating) =>
          h(`button.star${rating <= tile.rating ? ".on" : ""}`, { type: "button", "aria-label": plural(rating, "star"), "aria-pressed": String(rating === tile.rating), on: { click: () => on.act(shown, "rate", rating === shown.rating ? 0 : rating) } }, icon("star")))),
        tile.reason ? h("p.reason", null, tile.reason) : null);
    }

    function showFacts(tile, detail) {
      const attempts = detail.attempts ?? [];
      const paid = attempts.filter((attempt) => attempt.job_id || attempt.charged_usd !== null);
      const last = paid.at(-1) ?? attempts.at(-1);
      const output = (detail.outputs ?? []).find(({ n }) => n === tile.n);
      fill(facts,
        h("p.state-line", null, statePill(detail.state), detail.stale ? h("span.pill.tone-warn", null, "edited since") : null,
          tile.flags.map((flag) => h("span.pill.tone-warn", null, icon("flag"), flag.replace(/_/g, " ")))),
        reasonOf(detail, last),
        detail.prompt ? section("Prompt", h("p.prompt", { dir: "auto" }, detail.prompt), copyButton("Copy the prompt", detail.prompt)) : null,
        definitions("Request", [["Model", detail.model], ["Seed", detail.seed ?? "none: not reproducible"], ...Object.entries(detail.params ?? {}).filter(([key]) => key !== "seed" && key !== "prompt")]),
        definitions("Cost and times", last ? [
          ["Cost", costOf(detail.attempts)], ["Job", last.job_id && copyable(last.job_id)], ["Submitted", last.submitted_at && time(last.submitted_at, { second: "2-digit" })],
          ["Completed", last.completed_at && time(last.completed_at, { second: "2-digit" })], ["Took", last.took_s === null || last.took_s === undefined ? null : duration(last.took_s)],
          ["Inference", last.inference_s === null || last.inference_s === undefined ? null : duration(last.inference_s)], ["Kept by the API until", last.expires_at && time(last.expires_at)]] : [["Cost", "nothing was bought yet"]]),
        fileOf(tile, output),
        definitions("Where it comes from", [["Manifest", detail.source], ...Object.entries(detail.tags ?? {})]),
        links("Made from", (detail.inputs ?? []).map((input) => ({ key: input.key, n: input.output || 1, label: `${input.parameter}: ${input.item_id}${input.output ? ` @${input.output}` : ""}` }))),
        links("Used by", (detail.used_by ?? []).map((user) => ({ key: user.key, n: 1, label: user.item_id }))),
        attemptTable(attempts));
    }

    function reasonOf(detail, last) {
      const text = detail.reason || (detail.state === "done" ? "" : last?.error_message);
      return text ? h("p.problem-text", null, text) : null;
    }

    function costOf(attempts) {
      const refunded = attempts.some((attempt) => !isZero(attempt.refunded_usd));
      const charged = attempts.filter((attempt) => attempt.charged_usd !== null).map((attempt) => usd(attempt.charged_usd));
      const doubt = attempts.filter((attempt) => !isZero(attempt.in_doubt_usd)).map((attempt) => `${usd(attempt.in_doubt_usd)} in doubt`);
      const parts = [charged.join(" + "), refunded ? "refunded" : "", ...doubt].filter(Boolean);
      return parts.join(", ") || "nothing was charged";
    }

    function copyable(text) {
      return [h("code", null, text), copyButton("Copy", text)];
    }

    function copyButton(label, text) {
      const button = h("button.copy", { type: "button", title: label }, icon("copy"), hidden(label));
      button.addEventListener("click", () => copy(text, button));
      return button;
    }

    function section(title, ...children) {
      return h("section.fact", null, h("h3", null, title), children);
    }

    function definitions(title, pairs) {
      const shownPairs = pairs.filter(([, given]) => given !== null && given !== undefined && given !== "");
      if (!shownPairs.length) return null;
      return section(title, h("dl", null, shownPairs.map(([key, given]) => [h("dt", null, key),
        h("dd", null, Array.isArray(given) && given[0] instanceof Node ? given : given instanceof Node ? given : value(given))])));
    }

    function fileOf(tile, output) {
      if (!tile.file) return null;
      const size = [tile.width && `${tile.width} × ${tile.height}`, tile.duration_s && clock(tile.duration_s), bytes(tile.bytes)].filter(Boolean).join(" · ");
      const made = output && [output.codec, output.frame_rate && `${Number(Number(output.frame_rate).toFixed(2))} frames/s`, tile.kind === "video" ? (output.sound ? "with sound" : "silent") : ""].filter(Boolean).join(" · ");
      return definitions("File", [["Path", h("a", { href: address(tile.file), target: "_blank", rel: "noopener" }, tile.file, icon("out"), hidden("(opens in a new tab)"))], ["Size", size], ["Form", made], ["SHA-256", h("code.digest", { title: tile.sha256 }, `${tile.sha256.slice(0, 16)}…`)]]);
    }

    function links(title, entries) {
      if (!entries.length) return null;
      return section(title, h("ul.links", null, entries.map(({ key, n, label }) => h("li", null,
        key === null || key === undefined ? label : h("button.link", { type: "button", on: { click: () => on.open(key, n) } }, label)))));
    }

    function attemptTable(attempts) {
      if (attempts.length < 2) return null;
      const money = (amount) => h("td.money", null, amount === null || amount === undefined ? "–" : usd(amount));
      return section("Attempts", h("div.table-box", { tabindex: "0", role: "region", "aria-label": "Attempts" }, h("table", null,
        h("thead", null, h("tr", null, ["No.", "State", "Charged", "Refunded", "Took"].map((head) => h("th", { scope: "col" }, head)))),
        h("tbody", null, attempts.map((attempt) => [h("tr", null, h("td", null, attempt.number), h("td", null, statePill(attempt.state)),
          money(attempt.charged_usd), money(attempt.refunded_usd), h("td.money", null, duration(attempt.took_s))),
        attempt.error_message ? h("tr.note", null, h("td", { colspan: 5 }, attempt.error_message)) : null])))));
    }

    function showStrip(tile, outputs) {
      strip.hidden = outputs.length < 2;
      if (strip.hidden) return;
      fill(strip, outputs.map((output) => {
        const picture = batchgen.tile.picture({ ...output, of: outputs.length });
        return h(`button.thumb${output.pick ? `.picked-${output.pick}` : ""}`, { type: "button", "aria-label": `Output ${output.n} of ${outputs.length}${output.pick ? `, ${output.pick === "keep" ? "kept" : "rejected"}` : ""}`, "aria-current": output.n === tile.n ? "true" : null, on: { click: () => on.open(tile.key, output.n) } }, picture);
      }));
    }

    return {
      element: dialog,
      get tile() { return shown; },
      /** Show a tile; `place` and `total` say where it stands, if that is known. */
      async show(tile, place, total) {
        const same = shown && shown.key === tile.key && shown.n === tile.n && shown.sha256 === tile.sha256;
        const sameItem = shown && shown.key === tile.key;
        shown = tile;
        wanted = `${tile.key}.${tile.n}`;
        fill(name, tile.id, tile.of > 1 ? h("small", null, ` ${tile.n} of ${tile.of}`) : null);
        where.textContent = place >= 0 ? `${count(place + 1)} / ${count(total)}` : "";
        previous.disabled = place <= 0;
        next.disabled = place < 0 || place >= total - 1;
        if (!same) showMedia(tile);
        showPicks(tile);
        if (!sameItem) {
          fill(facts, h("p.muted", null, "Loading…"));
          strip.hidden = true;
        }
        if (!dialog.open) dialog.showModal();
        try {
          const detail = await load(tile.key);
          if (wanted !== `${tile.key}.${tile.n}`) return;
          if (!detail) throw new Error("This item is not in the run any more.");
          showFacts(shown, detail);
          showStrip(shown, detail.outputs ?? []);
        } catch (error) {
          fill(facts, h("p.problem-text", null, error.message));
        }
      },
      /** Show what is new of the tile, if it is the one that is open. */
      patch(tile) {
        if (!shown || shown.key !== tile.key || shown.n !== tile.n) return;
        shown = { ...shown, ...tile };
        showPicks(shown);
      },
      close: () => dialog.open && dialog.close(),
      togglePlay() {
        const video = media.querySelector("video");
        if (!video) return false;
        if (video.paused) video.play().catch(() => {});
        else video.pause();
        return true;
      },
    };
  }

  Object.assign(batchgen, { detail: { makeDetail } });
})((globalThis.batchgen ??= {}));
