"use strict";
/* The bar above the gallery: search, conditions, how many are shown. */
(function (batchgen) {
  const { fill, h, hidden, icon } = batchgen.dom;
  const { count, plural, stateMeaning, stateWord } = batchgen.text;
  const { conditions, isEmpty, toggled } = batchgen.filter;

  /** Return the bar. `on` holds change(filter), size(name), wide(), all() and save(). */
  function makeFilterBar({ saves, on }) {
    let filter = batchgen.filter.emptyFilter();
    let typing = 0;
    const search = h("input", { type: "search", id: "search", placeholder: "Search ids and prompts", "aria-label": "Search ids and prompts", autocomplete: "off", spellcheck: "false" });
    search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => change({ ...filter, text: search.value.trim() }), 150);
    });
    const menus = h("div.menus", { role: "group", "aria-label": "Filters" });
    const chips = h("ul.chips", { "aria-label": "Active filters" });
    const shown = h("p.shown", { "aria-live": "polite" });
    const sizes = h("div.segments", { role: "group", "aria-label": "Size of the pictures" });
    const wide = h("button.quiet", { type: "button", "aria-pressed": "false", title: "Gallery in the whole window (F)", on: { click: () => on.wide() } }, icon("window"), h("span.wordy", null, "Whole window"));
    const tools = h("div.tools", null, sizes,
      h("button.quiet", { type: "button", title: "Pick all that the filter shows (A)", on: { click: () => on.all() } }, icon("check"), h("span.wordy", null, "Pick all…")), wide,
      saves === "browser" ? h("button.quiet.save", { type: "button", title: "Save the picks of this browser as a CSV file", on: { click: () => on.save() } }, icon("save"), "Save picks…") : null);
    const element = h("div.filter-bar", { role: "search", "aria-label": "Filter the gallery" },
      h("div.filter-row", null, h("div.search", null, icon("search"), search, h("kbd", { "aria-hidden": "true" }, "/")), menus, tools),
      h("div.filter-row.under", null, shown, chips));

    function change(next) {
      filter = next;
      draw();
      on.change(filter);
    }

    function draw() {
      if (document.activeElement !== search) search.value = filter.text;
      const found = conditions(filter);
      fill(chips, found.map(({ name, value, label }) => h("li", null,
        h("button.chip", { type: "button", on: { click: () => without(name, value) } }, label, icon("cross"), hidden("Remove this filter")))),
      found.length > 1 ? h("li", null, h("button.link", { type: "button", on: { click: () => change(batchgen.filter.emptyFilter()) } }, "Clear all")) : null);
      chips.hidden = !found.length;
      for (const box of menus.querySelectorAll("input[type=checkbox]")) {
        box.checked = filter[box.name].map(String).includes(box.value);
      }
      for (const menu of menus.querySelectorAll("details")) {
        const number = filter[menu.dataset.name].length;
        menu.classList.toggle("set", number > 0);
        menu.querySelector(".number").textContent = number ? String(number) : "";
      }
    }

    function without(name, value) {
      change(name === "text" ? { ...filter, text: "" } : toggled(filter, name, value));
      if (name === "text") search.value = "";
      search.focus();
    }

    function menu(name, label, options) {
      const list = h("div.options", { role: "group", "aria-label": label }, options.map(({ value, text, note, items }) => h("label", { title: note || null },
        h("input", { type: "checkbox", name, value }), h("span.option", null, text), items === undefined ? null : h("span.items", null, count(items)))));
      list.addEventListener("change", (event) => {
        const value = name === "rating" ? Number(event.target.value) : event.target.value;
        change(toggled(filter, name, value));
      });
      if (options.length > 12) {
        const find = h("input", { type: "search", placeholder: `Find a ${label.toLowerCase()}`, "aria-label": `Find a ${label.toLowerCase()}` });
        find.addEventListener("input", () => {
          for (const row of list.querySelectorAll("label")) row.hidden = !row.textContent.toLowerCase().includes(find.value.toLowerCase());
        });
        list.prepend(find);
      }
      const details = h("details.menu", { dataset: { name } }, h("summary", null, label, h("span.number"), icon("down")), list);
      details.addEventListener("toggle", () => {
        if (details.open) for (const other of menus.querySelectorAll("details[open]")) if (other !== details) other.open = false;
      });
      details.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || !details.open) return;
        event.stopPropagation();
        details.open = false;
        details.querySelector("summary").focus();
      });
      return details;
    }

    document.addEventListener("click", (event) => {
      for (const open of menus.querySelectorAll("details[open]")) if (!open.contains(event.target)) open.open = false;
    });

    return {
      element,
      focus: () => search.focus(),
      /** Offer what the run has; menus that would offer nothing are left out. */
      offer({ facets, counts }) {
        if (menus.querySelector("details[open]")) return; // somebody is choosing
        const named = (entries, text = (name) => name) => entries.map((entry) => {
          const { name, items, outputs } = typeof entry === "string" ? { name: entry } : entry;
          return { value: name, text: text(name), items: items ?? outputs ?? (counts?.[name]) };
        });
        const flags = named(facets.flags ?? [], (name) => name.replace(/_/g, " "));
        const states = named(facets.states ?? [], stateWord).map((state) => ({ ...state, note: stateMeaning(state.value) }));
        fill(menus,
          (facets.models ?? []).length > 1 ? menu("model", "Model", named(facets.models)) : null,
          (facets.tags ?? []).length ? menu("tag", "Tag", named(facets.tags, (name) => name.replace("=", ": "))) : null,
          states.length > 1 ? menu("state", "State", states) : null,
          flags.length ? menu("flag", "Flag", [{ value: "any", text: "any flag" }, ...flags]) : null,
          menu("pick", "Pick", [{ value: "keep", text: "kept" }, { value: "reject", text: "rejected" }, { value: "none", text: "not picked" }]),
          menu("rating", "Rating", [5, 4, 3, 2, 1, 0].map((rating) => ({ value: rating, text: rating ? "★".repeat(rating) : "not rated" }))));
        draw();
      },
      /** Show a filter that came from elsewhere. */
      set(next) {
        filter = next;
        search.value = filter.text;
        draw();
      },
      /** Say how many outputs are shown. */
      say(total, all, outputs) {
        const without = total - outputs;
        shown.textContent = !isEmpty(filter) ? `${count(total)} of ${count(all)} shown`
          : without > 0 ? `${count(total)} shown: ${plural(outputs, "output")}, and ${plural(without, "item")} without one` : plural(total, "output");
      },
      wide(is) {
        wide.setAttribute("aria-pressed", String(is));
      },
      sizes(current) {
        fill(sizes, [["small", "S"], ["medium", "M"], ["large", "L"]].map(([name, letter]) =>
          h("button", { type: "button", "aria-pressed": String(name === current), title: `${name} pictures`, on: { click: () => on.size(name) } }, h("span", { "aria-hidden": "true" }, letter), hidden(name))));
      },
    };
  }

  Object.assign(batchgen, { filters: { makeFilterBar } });
})((globalThis.batchgen ??= {}));
