"use strict";
/* What the reader keeps, rejects and rates: shown at once, saved in order, taken back where saving fails. */
(function (batchgen) {
  const name = ({ key, n }) => `${key}.${n}`;
  const line = ({ key, n, id, sha256, pick, rating, reason }) => ({ key, n, id, sha256, pick, rating, reason });

  /**
   * Return the keeper of picks.
   *
   * `save(lines)` returns a promise; `show(lines)` puts picks on the page; `complain(error, number)` tells that saving
   * failed, after the picks were taken back.
   */
  function makePicks({ save, show, complain }) {
    const undoable = []; // steps, the last one made last: {before, after}
    const unsaved = new Map(); // what was said and is not saved yet, by output
    let queue = [];
    let saving = null;

    function put(lines, step) {
      for (const given of lines) unsaved.set(name(given), given);
      show(lines);
      queue.push({ lines, step });
      saving ??= flush().finally(() => (saving = null));
      return saving;
    }

    async function flush() {
      while (queue.length) {
        const sent = queue;
        queue = [];
        const latest = new Map(sent.flatMap(({ lines }) => lines).map((given) => [name(given), given]));
        try {
          await save([...latest.values()]);
        } catch (error) {
          takeBack(sent, error);
          continue;
        }
        for (const [output, given] of latest) if (unsaved.get(output) === given) unsaved.delete(output);
      }
    }

    /** Take back what could not be saved, and what was said on top of it meanwhile. */
    function takeBack(sent, error) {
      const failed = [...sent, ...queue];
      queue = [];
      const before = new Map();
      for (const { step } of failed.reverse()) {
        for (const given of step.before) before.set(name(given), given);
        const at = undoable.indexOf(step.undoes ? step.undoes : step);
        if (step.undoes) undoable.push(step.undoes);
        else if (at >= 0) undoable.splice(at, 1);
      }
      for (const output of before.keys()) unsaved.delete(output);
      show([...before.values()]);
      complain(error, before.size);
    }

    return {
      /** Say something of some tiles; `change` holds what is to change of pick, rating and reason. */
      set(tiles, change) {
        const before = tiles.map(line);
        const after = before.map((given) => ({ ...given, ...change }));
        const step = { before, after };
        undoable.push(step);
        return put(after, step);
      },
      /** Note a step that was saved elsewhere, so that it can be undone. */
      note(before, after) {
        undoable.push({ before, after });
        show(after);
      },
      /** Take back the last step; returns how many outputs it was about, 0 if there is none. */
      undo() {
        const step = undoable.pop();
        if (!step) return 0;
        put(step.before, { before: step.after, undoes: step });
        return step.before.length;
      },
      /** A tile as the reader knows it, though the server may not yet. */
      overlay(tile) {
        const said = unsaved.get(name(tile));
        return said ? { ...tile, pick: said.pick, rating: said.rating, reason: said.reason } : tile;
      },
      steps: () => undoable.length,
      pending: () => unsaved.size,
    };
  }

  Object.assign(batchgen, { makePicks });
})((globalThis.batchgen ??= {}));
