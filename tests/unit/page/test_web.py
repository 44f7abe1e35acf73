"""The page's files: complete, harmless to what they show, and right in their pure parts (run under Node)."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from batchgen.page import web
from batchgen.report.columns import Columns

FOLDER = Path(web.__file__).parent
OWN = [name for name in sorted({*web.STATIC_SCRIPTS, *web.LIVE_SCRIPTS}) if name.startswith("scripts/")]
PURE = ["text", "filter", "search", "columns", "picks-csv", "picks", "scroll", "keys"]
node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")


def run(expression: str) -> Any:
    """The value of a JavaScript expression (it may await), with the pure scripts loaded and no page around them."""
    code = "\n".join(web.read_asset(f"scripts/{name}.js") for name in PURE)
    code += f"\n(async () => {{ console.log(JSON.stringify({expression})) }})()"
    done = subprocess.run(["node", "-"], check=False, input=code, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_script_and_style_is_listed() -> None:
    listed = {*web.STYLES, *web.STATIC_SCRIPTS, *web.LIVE_SCRIPTS}
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.suffix in (".js", ".css")}
    assert found == listed
    assert (FOLDER / "vendor" / "uPlot-LICENSE.txt").read_text(encoding="utf-8").startswith("The MIT License")


@pytest.mark.parametrize("name", ["page.html", "../page.py", "scripts/../page.html", "/etc/passwd", ""])
def test_only_listed_files_are_read(name: str) -> None:
    with pytest.raises(KeyError):
        web.read_asset(name)


@pytest.mark.parametrize("name", OWN)
def test_scripts_put_texts_into_the_page_as_texts_alone(name: str) -> None:
    text = web.read_asset(name)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|DOMParser", text)
    assert not re.search(r"""setAttribute\(["'](?:on|style)""", text), "a strict policy forbids these"
    assert len(text.splitlines()) <= 400


def test_the_page_brings_no_handlers_and_nothing_from_elsewhere() -> None:
    texts = [web.live_page("x"), *(web.read_asset(name) for name in web.STYLES)]
    assert [text for text in texts if re.search(r"""\son\w+=|style=|https?://|url\(|@import""", text)] == []


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    page = web.page_html(title="<!--tail--></title>", head="<!--tail-->", noscript="N", tail="<!--title-->T")
    assert "<title>&lt;!--tail--&gt;&lt;/title&gt;</title>" in page
    assert page.index("<!--tail-->") < page.index("<noscript>N</noscript>") < page.index("<!--title-->T")
    assert page.endswith("</html>\n")


def test_the_viewers_page_loads_every_file() -> None:
    page = web.live_page("spring")
    assert [name for name in (*web.STYLES, *web.LIVE_SCRIPTS) if f'"/page/{name}"' not in page] == []


@node
def test_scripts_are_valid() -> None:
    """Each of them as a script of its own: compiled, not run."""
    code = "const {Script} = require('vm'), {readFileSync} = require('fs');"
    code += "for (const filename of process.argv.slice(1)) new Script(readFileSync(filename, 'utf8'), {filename});"
    names = [str(FOLDER / name) for name in OWN]
    done = subprocess.run(["node", "-e", code, "--", *names], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


VALUES: dict[str, object] = {
    "usd('0.06')": "$0.06",
    "usd('1234567.5')": "$1,234,567.50",
    "usd('-0.30000')": "−$0.30",
    "usd('0.0425')": "$0.0425",
    "usd(null)": "unknown",
    "isZero('-0.000')": True,
    "isZero('0.0001')": False,
    "bytes(1234567)": "1.2 MB",
    "bytes(0)": "0 B",
    "duration(0.44)": "0.4 s",
    "duration(59.6)": "1 min",
    "duration(3599.9)": "1 h",
    "duration(90061)": "1 d 1 h",
    "duration(null)": "–",
    "clock(5)": "0:05",
    "clock(3725)": "1:02:05",
    "plural(1, 'item')": "1 item",
    "plural(1200, 'item')": "1,200 items",
    "address('files/a b#?/%41@1.png')": "files/a%20b%23%3F/%2541%401.png",
    "tone('a state of a later version')": "calm",
}


@node
def test_values_are_shown_for_people() -> None:
    said = run("[" + ", ".join(f"batchgen.text.{expression}" for expression in VALUES) + "]")
    assert dict(zip(VALUES, said, strict=True)) == VALUES


@node
def test_an_address_keeps_the_filter() -> None:
    filter_ = {
        "text": "a&b=c #",
        "model": ["m"],
        "state": [],
        "tag": ["k=v=w", "ü=1"],
        "flag": ["any"],
        "pick": ["none"],
    }
    filter_["rating"] = [0, 5]
    said = run(
        f"(({{writeHash, readHash}}) => readHash(writeHash({json.dumps(filter_)}, {{key: 17, n: 2}})))(batchgen.filter)"
    )
    assert said == {"filter": filter_, "open": {"key": 17, "n": 2}}


@node
def test_an_address_that_says_nonsense_shows_everything() -> None:
    said = run("batchgen.filter.readHash('#item=x.1&rating=9&rating=x&pick=bin&nothing&%')")
    assert said["open"] is None
    assert run("batchgen.filter.isEmpty(batchgen.filter.fromParams(new URLSearchParams('rating=9&pick=bin')))") is True


TILE = {"n": 0, "model": "hera", "state": "done", "net_usd": "0.00", "tags": {}, "error": ""}
INDEX = {
    "models": ["hera", "zeus"],
    "states": ["done", "failed"],
    "tags": ["client=acme", "client=globex"],
    "flags": ["blank", "dark"],
    "texts": [
        {"text": "mug\nA red Mug\njug\nA jug\n", "ends": [14, 24]},
        {"text": "pan\nÄPFEL in a pan\n", "ends": [19]},
    ],
    "items": {
        "key": [10, 11, 12],
        "id": ["mug", "jug", "pan"],
        "model": [0, 1, 0],
        "state": [0, 1, 0],
        "tags": [[0], 0, [1]],
        "error": {"1": "no"},
    },
    "outputs": {
        "item": [0, 0, 2],
        "n": [1, 2, 1],
        "kind": [1, 1, 2],
        "file": ["files/mug@1.png", "files/mug@2.png", "files/pan.mp4"],
        "sha256": ["ab" * 32, "cd" * 32, "ef" * 32],
        "width": [8, 8, 16],
        "height": [8, 8, 9],
        "duration_s": [0, 0, 5],
        "bytes": [1, 2, 3],
        "flags": {"1": [1]},
        "picks": {"0": ["keep", 4, ""]},
    },
}


FILTERS: list[tuple[dict[str, object], list[str]]] = [
    ({}, ["mug 1", "mug 2", "jug 0", "pan 1"]),
    ({"text": "a mug"}, ["mug 1", "mug 2"]),
    ({"text": "äpfel PAN"}, ["pan 1"]),
    ({"text": "a"}, ["mug 1", "mug 2", "jug 0", "pan 1"]),
    ({"text": "mug mug"}, ["mug 1", "mug 2"]),
    ({"text": "mugjug"}, []),
    ({"model": ["zeus"]}, ["jug 0"]),
    ({"model": ["zeus", "hera"], "state": ["done"]}, ["mug 1", "mug 2", "pan 1"]),
    ({"model": ["unknown"]}, []),
    ({"tag": ["client=globex"]}, ["pan 1"]),
    ({"flag": ["any"]}, ["mug 2"]),
    ({"flag": ["blank"]}, []),
    ({"pick": ["keep"]}, ["mug 1"]),
    ({"pick": ["none"]}, ["mug 2"]),
    ({"pick": ["reject"]}, ["pan 1"]),
    ({"rating": [4]}, ["mug 1"]),
    ({"rating": [0]}, ["mug 2", "pan 1"]),
]


@node
def test_a_filter_of_a_report() -> None:
    """Items without outputs are shown once; the reader's own pick of pan@1 counts."""
    picked = "(key, n) => key === 12 ? {pick: 'reject', rating: 0, reason: 'dull'} : undefined"
    said = run(
        f"""(() => {{
      const store = batchgen.columns.makeStore({json.dumps(INDEX)}, {picked});
      const shown = (wanted) => store.select({{...batchgen.filter.emptyFilter(), ...wanted}});
      return {json.dumps([wanted for wanted, _ in FILTERS])}.map((wanted) =>
        Array.from(shown(wanted), store.tile).map(({{id, n}}) => `${{id}} ${{n}}`));
    }})()"""
    )
    assert [(wanted, shown) for (wanted, _), shown in zip(FILTERS, said, strict=True)] == FILTERS


@node
def test_a_tile_of_a_report() -> None:
    tile = run(f"batchgen.columns.makeStore({json.dumps(INDEX)}).tile(1)")
    assert (tile["key"], tile["n"], tile["of"], tile["flags"], tile["tags"]) == (10, 2, 2, ["dark"], {"client": "acme"})
    assert tile["thumb"] == f"thumbs/cd/{'cd' * 32}.webp"
    assert run(f"batchgen.columns.makeStore({json.dumps(INDEX)}).tile(2)")["error"] == "no"
    prompts = run(f"[0, 2, 3].map((place) => batchgen.columns.makeStore({json.dumps(INDEX)}).tile(place).prompt)")
    assert prompts == ["A red Mug", "A jug", "ÄPFEL in a pan"]


@node
def test_words_are_found_where_lower_case_is_longer() -> None:
    chunk = Columns()
    for number, prompt in enumerate(("İİİ 🏺 İstanbul", "", "a vase", "ß İ")):
        chunk.add([{**TILE, "key": number, "id": f"i{number}", "prompt": prompt}])
    texts = json.dumps([chunk.take_texts()])
    search = f"batchgen.makeSearch({texts}, ['i0', 'i1', 'i2', 'i3'])"
    assert run(f"[0, 1, 2, 3].map({search}.prompt)") == ["İİİ 🏺 İstanbul", "", "a vase", "ß İ"]
    for words, counts in ((["🏺"], [1, 0, 0, 0]), (["vase", "i"], [1, 1, 2, 1]), (["stanbul", "i1"], [1, 1, 0, 0])):
        assert run(f"Array.from({search}.count({json.dumps(words)}))") == counts


@node
def test_saved_picks_are_read_back_as_they_were() -> None:
    lines = [
        {
            "id": 'a "b", c',
            "n": 2,
            "pick": "reject",
            "reason": "=1+1, or\nso",
            "rating": 0,
            "at": "2026-01-31T08:00:00Z",
        },
        {"id": "mug", "n": 1, "pick": "", "reason": "", "rating": 5, "at": "2026-01-31T08:00:00Z"},
    ]
    text = run(f"batchgen.picksCsv({json.dumps(lines)})")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [
        ["item_id", "output", "pick", "reason", "rating", "at"],
        ['a "b", c', "2", "reject", "'=1+1, or so", "", "2026-01-31T08:00:00Z"],
        ["mug", "1", "", "", "5", "2026-01-31T08:00:00Z"],
    ]


KEEPER = """
  const shown = [], complaints = [], saved = [];
  let fails = 0;
  const picks = batchgen.makePicks({
    save: async (lines) => {
      if (fails-- > 0) throw new Error("full");
      saved.push(lines.map(({key, pick}) => [key, pick]));
    },
    show: (lines) => shown.push(...lines.map(({key, pick}) => [key, pick])),
    complain: (error, number) => complaints.push([error.message, number]),
  });
  const tile = {key: 1, n: 1, id: "a", pick: "", rating: 0, reason: ""};
"""


@node
def test_picks_are_saved_and_undone_in_order() -> None:
    said = run(
        f"""await (async () => {{ {KEEPER}
        await picks.set([tile], {{pick: "keep"}});
        await picks.set([{{...tile, pick: "keep"}}], {{pick: "reject"}});
        picks.undo(); const second = picks.undo(); const third = picks.undo();
        await new Promise((resolve) => setTimeout(resolve));
        return {{saved, shown, second, third, pending: picks.pending()}}; }})()"""
    )
    assert said["shown"] == [[1, "keep"], [1, "reject"], [1, "keep"], [1, ""]]
    assert [lines[0][1] for lines in said["saved"]] == ["keep", "reject", "keep", ""]
    assert (said["second"], said["third"], said["pending"]) == (1, 0, 0)


@node
def test_picks_that_cannot_be_saved_are_taken_back() -> None:
    said = run(
        f"""await (async () => {{ {KEEPER}
        fails = 1;
        const first = picks.set([tile], {{pick: "keep"}});
        const overlay = picks.overlay(tile).pick;
        await first;
        return {{saved, shown, complaints, overlay, after: picks.overlay(tile).pick, steps: picks.steps()}}; }})()"""
    )
    assert said["overlay"] == "keep"
    assert (said["saved"], said["shown"], said["after"], said["steps"]) == ([], [[1, "keep"], [1, ""]], "", 0)
    assert said["complaints"] == [["full", 1]]


@node
def test_a_million_rows_can_be_scrolled() -> None:
    """Small movements go row by row, a jump to its share, both ends can be reached."""
    said = run(
        """(() => {
        const scale = batchgen.scroll.makeScale(), height = scale.resize(300e6, 800);
        const small = [scale.follow(100), scale.follow(220)];
        const middle = scale.follow(height / 2), next = scale.follow(height / 2 + 100);
        const end = scale.follow(height - 800), back = scale.go(0);
        return {height, small, middle, step: next - middle, end, back, place: scale.place()};
        })()"""
    )
    assert said["height"] == 8_000_000
    assert (said["small"], said["step"]) == ([100, 220], 100)
    assert abs(said["middle"] - 150e6) < 20_000
    assert (said["end"], said["back"], said["place"]) == (300e6 - 800, 0, 0)


KEYS: list[tuple[str, dict[str, bool], str | None]] = [
    ("k", {"inGrid": True}, "keep"),
    ("k", {}, "enter"),
    ("k", {"control": True}, None),
    ("K", {"detail": True}, "keep"),
    ("k", {"typing": True}, None),
    ("3", {"inGrid": True}, "rate"),
    ("ArrowDown", {"inGrid": True}, "move"),
    ("ArrowDown", {}, None),
    ("ArrowRight", {}, "enter"),
    ("ArrowRight", {"control": True}, None),
    ("ArrowRight", {"detail": True}, "step"),
    ("ArrowRight", {"detail": True, "video": True}, None),
    ("a", {"detail": True}, None),
    ("Enter", {"inGrid": True}, "open"),
    ("Enter", {}, None),
]


@node
def test_what_a_key_does() -> None:
    said = run(f"{json.dumps(KEYS)}.map(([key, where]) => batchgen.keys.actionOf({{key}}, where)?.action ?? null)")
    assert [(key, where, action) for (key, where, _), action in zip(KEYS, said, strict=True)] == KEYS


ARROWS = [
    ("down", 1, 4), ("down", 5, 6), ("down", 6, 6), ("down", 4, 6), ("up", 1, 1), ("left", 0, 0), ("end", 0, 6),
    ("pageUp", 4, 0),
]  # fmt: skip
"""Where arrows lead among seven outputs in rows of three: the last row has one."""


@node
def test_arrows_lead_through_the_grid() -> None:
    grid = "{active, total: 7, columns: 3, rows: 2}"
    said = run(f"{json.dumps(ARROWS)}.map(([to, active]) => batchgen.keys.target(to, {grid}))")
    assert [(to, active, place) for (to, active, _), place in zip(ARROWS, said, strict=True)] == ARROWS
