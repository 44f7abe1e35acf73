"use strict";
/* One output in the gallery. */
(function (batchgen) {
  const { h, hidden, icon } = batchgen.dom;
  const { address, clock, isZero, plural, shortModel, stateMeaning, stateWord, tone, usd } = batchgen.text;

  /** What an output is called: the item's id, and its number where there are several. */
  function title(tile) {
    return tile.of > 1 ? `${tile.id} @${tile.n}` : tile.id;
  }

  /** What screen readers say of a cell: all the texts that it shows, and what it shows as a drawing. */
  function describe(cell, tile) {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    const parts = [];
    while (walker.nextNode()) {
      const text = walker.currentNode.data.trim();
      if (text && !walker.currentNode.parentElement.closest(".visually-hidden")) parts.push(text);
    }
    if (tile.kind === "video") parts.push("video");
    if (tile.pick) parts.push(tile.pick === "keep" ? "kept" : `rejected${tile.reason ? `: ${tile.reason}` : ""}`);
    if (tile.rating) parts.push(plural(tile.rating, "star"));
    return parts.join(", ");
  }

  /** The picture of an output: its thumbnail, else the image itself, else a drawing with words. */
  function picture(tile, { large = false } = {}) {
    const box = h("div.picture", { dataset: { kind: tile.kind || "none" } });
    const places = [!large && tile.thumb, tile.kind === "image" && tile.file].filter(Boolean);
    if (!tile.n || places.length === 0) {
      box.append(placeholder(tile));
      return box;
    }
    const image = h("img", { alt: "", decoding: "async", draggable: "false", width: tile.width, height: tile.height });
    image.addEventListener("load", () => box.classList.add("loaded"));
    image.addEventListener("error", () => {
      places.shift();
      if (places.length) image.src = address(places[0]);
      else image.replaceWith(placeholder(tile));
    });
    image.src = address(places[0]);
    box.append(image);
    return box;
  }

  function placeholder(tile) {
    if (tile.n) {
      return h("div.placeholder", null, icon(tile.kind === "video" ? "play" : "image"));
    }
    const drawing = { bad: "cross", warn: "warn", live: "wait", good: "image", calm: "wait" }[tone(tile.state)];
    return h(`div.placeholder.tone-${tone(tile.state)}`, null, icon(drawing), " ", h("strong", null, stateWord(tile.state)), " ",
      h("span.why", null, tile.error || stateMeaning(tile.state)));
  }

  function stars(rating) {
    return rating ? h("span.stars", { "aria-hidden": "true" }, "★".repeat(rating)) : null;
  }

  function mark(tile) {
    if (!tile.pick) return null;
    return h(`span.mark.${tile.pick}`, { "aria-hidden": "true", title: tile.reason || null },
      icon(tile.pick === "keep" ? "check" : "cross"));
  }

  /** The buttons for those who pick with a pointer; the keyboard has keys of its own for them. */
  function buttons() {
    const button = (act, name, label) =>
      h(`button.act.${act}`, { type: "button", tabindex: "-1", title: label, "aria-label": label, dataset: { act } }, icon(name));
    return h("span.acts", null, button("keep", "check", "Keep (K)"), button("reject", "cross", "Reject (X)"));
  }

  /** Fill a cell of the grid with a tile; the picture stays where it is the same as before. */
  function fillCell(cell, tile) {
    if (!tile) {
      if (cell.dataset.shows !== "") {
        cell.dataset.shows = "";
        delete cell.dataset.picture;
        cell.className = "cell waiting";
        cell.removeAttribute("aria-label");
        cell.replaceChildren(h("div.caption", null, hidden("Loading")), h("div.picture", null));
      }
      return;
    }
    const shows = JSON.stringify(tile);
    if (cell.dataset.shows === shows) return;
    const file = `${tile.key}.${tile.n} ${tile.sha256} ${tile.state} ${tile.error}`;
    const box = cell.dataset.picture === file ? cell.querySelector(".picture") : picture(tile);
    box.querySelector(".overs")?.remove();
    box.append(h("span.overs", null, overlays(tile)));
    cell.dataset.shows = shows;
    cell.dataset.picture = file;
    cell.className = `cell${tile.pick ? ` picked-${tile.pick}` : ""}`;
    cell.replaceChildren(caption(tile), box); // in the order in which it is read; the style puts the picture above
    cell.setAttribute("aria-label", describe(cell, tile));
  }

  function overlays(tile) {
    const found = [];
    if (tile.kind === "video" && tile.n) {
      found.push(h("span.over.length", null, icon("play"), tile.duration_s ? ` ${clock(tile.duration_s)}` : " video"));
    }
    if (tile.flags.length) {
      const words = tile.flags.map((flag) => flag.replace(/_/g, " ")).join(", ");
      found.push(h("span.over.flags", { title: `Flags: ${words}` }, icon("flag"), ` ${words}`));
    }
    if (tile.pick) found.push(h("span.over.corner", null, mark(tile)));
    if (tile.n) found.push(h("span.over.hover", null, buttons()));
    return found;
  }

  function caption(tile) {
    const state = h(`span.state.tone-${tone(tile.state)}`, { title: stateMeaning(tile.state) },
      h("span.dot", { "aria-hidden": "true" }), stateWord(tile.state));
    return h("div.caption", null,
      h("div.name", { title: title(tile) }, h("span", null, tile.id), " ", tile.of > 1 ? h("small", null, `${tile.n}/${tile.of}`) : null, stars(tile.rating)), " ",
      h("div.facts", null, state, " ", h("span.model", { title: tile.model }, shortModel(tile.model)), " ",
        tile.net_usd === undefined || isZero(tile.net_usd) || tile.n > 1 ? null : h("span.price", { title: tile.of > 1 ? "Price of the item, all of its outputs together" : "Price" }, usd(tile.net_usd))));
  }

  Object.assign(batchgen, { tile: { fillCell, picture, title } });
})((globalThis.batchgen ??= {}));
