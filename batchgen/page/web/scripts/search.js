"use strict";
/*
 * The ids and prompts of a report, to be searched. Pure.
 *
 * They lie in a few long texts: a browser brings them to lower case at once, and has no object to keep for each item.
 */
(function (batchgen) {
  /**
   * Return the search over items with these ids.
   *
   * `chunks` hold equally many items each, but for the last one: {text, ends}, for each item its id and its prompt, each
   * with a line end, and where that ends.
   */
  function makeSearch(chunks, ids) {
    const size = chunks[0]?.ends.length || 1;
    let searched = null; // made when somebody searches: opening must be quick

    function prompt(item) {
      const { text, ends } = chunks[Math.floor(item / size)];
      const at = item % size;
      return text.slice((at ? ends[at - 1] : 0) + ids[item].length + 1, ends[at] - 1);
    }

    /** Make what is searched; done before somebody searches, where there is time. */
    function prepare() {
      searched ??= chunks.map(inLowerCase);
    }

    /** Return for each item how many of these words it has; a word is in lower case, and holds no white space. */
    function count(words) {
      prepare();
      const counts = new Uint16Array(ids.length);
      searched.forEach(({ text, ends }, number) => {
        for (const word of words) {
          let at = 0;
          for (let place = text.indexOf(word); place >= 0; place = text.indexOf(word, ends[at])) {
            while (ends[at] <= place) at++;
            counts[number * size + at]++;
          }
        }
      });
      return counts;
    }

    return { count, prepare, prompt };
  }

  function inLowerCase({ text, ends }) {
    const lower = text.toLowerCase();
    if (lower.length === text.length) return { text: lower, ends };
    // A few letters become longer, as İ does; none becomes shorter.
    let end = 0;
    return { text: lower, ends: ends.map((place, at) => (end += text.slice(at ? ends[at - 1] : 0, place).toLowerCase().length)) };
  }

  Object.assign(batchgen, { makeSearch });
})((globalThis.batchgen ??= {}));
