"use strict";
/* Small dialogs: why an output is rejected, what is done with all that is shown, and which keys there are. */
(function (batchgen) {
  const { h, icon } = batchgen.dom;
  const { plural } = batchgen.text;
  const REASONS = ["Artefacts", "Hands, faces or text wrong", "Not what was asked for", "Wrong style", "Blurred, or badly lit", "Too like another one"];
  let lastReason = "";

  /** Show a dialog until it is closed; returns a promise of what `close(value)` was given, null if it was left. */
  function ask(label, build) {
    return new Promise((resolve) => {
      let answer = null;
      const dialog = h("dialog.ask", { "aria-label": label });
      const close = (value = null) => {
        answer = value;
        dialog.close();
      };
      build(dialog, close);
      dialog.addEventListener("click", (event) => event.target === dialog && close());
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(answer);
      });
      document.getElementById("overlays").append(dialog);
      dialog.showModal();
    });
  }

  function heading(text, close) {
    return h("div.ask-head", null, h("h2", null, text),
      h("button.plain", { type: "button", "aria-label": "Close", on: { click: () => close() } }, icon("cross")));
  }

  /** Ask why something is rejected; returns a promise of the reason ("" for none), or null. */
  function askReason(what) {
    return ask(`Reject ${what}`, (dialog, close) => {
      const own = h("input", { type: "text", id: "own-reason", maxlength: 300, autocomplete: "off", value: REASONS.includes(lastReason) ? "" : lastReason });
      const done = (reason) => {
        lastReason = reason || lastReason;
        close(reason);
      };
      const choices = REASONS.map((reason, at) =>
        h("button.choice", { type: "button", on: { click: () => done(reason) } }, h("kbd", { "aria-hidden": "true" }, at + 1), reason));
      const form = h("form", { method: "dialog" }, h("label", { for: "own-reason" }, "In your own words"),
        h("div.own", null, own, h("button.primary", { type: "submit" }, "Reject")));
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        done(own.value.trim());
      });
      dialog.append(heading(`Reject ${what}`, close), h("div.choices", null, choices,
        h("button.choice", { type: "button", on: { click: () => close("") } }, h("kbd", { "aria-hidden": "true" }, "X"), "No reason")), form);
      dialog.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.target === own || event.ctrlKey || event.metaKey || event.altKey) return;
        const number = Number(event.key);
        if (number >= 1 && number <= REASONS.length) {
          event.preventDefault();
          done(REASONS[number - 1]);
        } else if (event.key.toLowerCase() === "x") {
          event.preventDefault();
          close("");
        } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
          event.preventDefault();
          const all = [...dialog.querySelectorAll(".choice")];
          const at = all.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
          all[(at + all.length) % all.length].focus();
        }
      });
      const known = REASONS.indexOf(lastReason);
      queueMicrotask(() => choices[Math.max(known, 0)].focus());
    });
  }

  /** Ask what is done with all that is shown; returns a promise of {pick, rating, reason} or null. */
  function askAll(number, { undoable, filtered }) {
    const all = number === 1 ? "the one output" : `all ${plural(number, "output")}`;
    const what = `${all} ${filtered ? "that the filter shows" : "of this run"}`;
    return ask(`Pick ${what}`, (dialog, close) => {
      const choose = (choice) => () => close(choice);
      const reason = h("input", { type: "text", id: "all-reason", maxlength: 300, autocomplete: "off", placeholder: "If you reject them" });
      dialog.append(heading(`Pick ${what}`, close),
        h("p", null, undoable ? "Z takes it back." : "This cannot be taken back with Z: there are too many of them."),
        h("div.choices.row-of", null,
          h("button.choice", { type: "button", autofocus: true, on: { click: choose({ pick: "keep", rating: null, reason: "" }) } }, icon("check"), `Keep ${number === 1 ? "it" : "all"}`),
          h("button.choice", { type: "button", on: { click: () => close({ pick: "reject", rating: null, reason: reason.value.trim() }) } }, icon("cross"), `Reject ${number === 1 ? "it" : "all"}`),
          h("button.choice", { type: "button", on: { click: choose({ pick: "", rating: null, reason: "" }) } }, icon("undo"), "Clear their picks")),
        h("label", { for: "all-reason" }, "Reason"), reason,
        h("fieldset.rate", null, h("legend", null, "Or rate them"),
          [1, 2, 3, 4, 5].map((rating) => h("button.choice", { type: "button", "aria-label": plural(rating, "star"), on: { click: choose({ pick: null, rating, reason: null }) } }, "★".repeat(rating))),
          h("button.choice", { type: "button", on: { click: choose({ pick: null, rating: 0, reason: null }) } }, "None")));
      dialog.addEventListener("keydown", (event) => event.stopPropagation());
    });
  }

  const KEYS = [
    ["Move", [["← → ↑ ↓", "to the next output"], ["Home End", "to the first or last"], ["PgUp PgDn", "a screen up or down"], ["/", "search"], ["F", "gallery in the whole window"], ["+ −", "larger, smaller pictures"]]],
    ["Look", [["Enter", "open an output"], ["← →", "its neighbours"], ["Space", "play or pause a video"], ["Esc", "close"]]],
    ["Pick", [["K", "keep"], ["X", "reject, with a reason"], ["U", "neither"], ["1 – 5", "rate"], ["0", "no rating"], ["A", "all that the filter shows"], ["Z", "undo, step by step"]]],
  ];

  /** Show which keys there are. */
  function showKeys() {
    return ask("Keys", (dialog, close) => {
      dialog.classList.add("keys");
      dialog.append(heading("Keys", close), h("div.key-groups", null, KEYS.map(([name, keys]) =>
        h("section", null, h("h3", null, name), h("dl", null, keys.map(([key, does]) => [
          h("dt", null, key.split(" ").map((one) => (one === "–" ? " – " : h("kbd", null, one)))), h("dd", null, does)]))))));
      dialog.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.key === "?") close();
      });
    });
  }

  Object.assign(batchgen, { ask: { askAll, askReason, showKeys } });
})((globalThis.batchgen ??= {}));
