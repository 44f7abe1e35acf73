"""The report of a run as a file: what is in it, that it stays data, and what lies beside it."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.bought import Buyer, item, journal_of

from batchgen.journal.lock import own
from batchgen.picks import Pick, append_picks
from batchgen.report import writer
from batchgen.report.columns import Columns
from batchgen.report.data import in_script
from batchgen.report.frame import element
from batchgen.report.writer import Report, write_report

HOSTILE = "</script><img src=x onerror=alert(1)> {{7*7}} \u2028 \u202e 'quoted' \\ </style> <!--data-->"


class Elements(HTMLParser):
    """The elements of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id") or tag

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data

    def json(self, id_: str) -> Any:
        return json.loads(self.texts[id_])


def made(folder: Path, count: int, prompt: Callable[[int], str] = "Prompt {}".format) -> Report:
    with journal_of(folder, [item(f"i{n:03}", prompt(n), tags={"client": "acme"}) for n in range(count)]) as journal:
        buyer = Buyer(journal)
        for number in range(count):
            if number % 10 == 9:
                buyer.fail(f"i{number:03}", HOSTILE)
            else:
                buyer.done(f"i{number:03}", outputs=1 + number % 2)
    return write_report(folder)


def page_of(folder: Path) -> Elements:
    return Elements((folder / "report.html").read_text(encoding="utf-8"))


def scripts_of(folder: Path) -> dict[str, Any]:
    """What the scripts beside a report hand to the page, by the names that they give."""
    found = {}
    for path in sorted((folder / "report").glob("*/*.js")):
        call = re.fullmatch(r'batchgenPart\("([\w-]+)", \(\) => \{/\*(.*)\*/\}\)\n', path.read_text(encoding="ascii"))
        assert call, path
        found[call[1]] = json.loads(call[2])
    return found


def test_all_of_a_small_run_is_in_the_page(tmp_path: Path) -> None:
    report = made(tmp_path, 20)
    assert (report.items, report.of, report.path) == (20, 20, tmp_path / "report.html")
    page = page_of(tmp_path)
    overview, index, part = page.json("overview"), page.json("index"), page.json("part-0")
    assert (overview["items"], overview["sample"]) == (20, None)
    assert overview["run_id"]
    items, outputs = index["items"], index["outputs"]
    assert items["id"] == [f"i{n:03}" for n in range(20)]
    assert [detail["id"] for detail in part] == items["id"]
    assert index["texts"][0]["text"].startswith("i000\nPrompt 0\ni001\nPrompt 1\n")
    assert index["texts"][0]["ends"][:2] == [14, 28]
    assert [index["states"][state] for state in items["state"]][8:10] == ["done", "failed"]
    assert list(items["error"]) == ["9", "19"]
    assert index["tags"] == ["client=acme"]
    assert outputs["item"] == [n for n in range(20) if n % 10 != 9 for _ in range(1 + n % 2)]
    assert outputs["file"][1:3] == ["files/i001@1.png", "files/i001@2.png"]
    assert not (tmp_path / "report").exists()


def test_hostile_texts_stay_data(tmp_path: Path) -> None:
    made(tmp_path, 10, lambda _: HOSTILE)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Elements(text)
    assert page.json("index")["texts"][0]["text"] == "".join(f"i{n:03}\n{HOSTILE}\n" for n in range(10))
    assert page.json("part-0")[0]["prompt"] == HOSTILE
    assert [tag for tag, _ in page.found if tag == "img"] == []
    assert "49" not in page.texts.get("td", ""), "templates are not filled in twice"
    handlers = [name for _, attributes in page.found for name in attributes if name.startswith("on")]
    assert handlers == []


def test_without_scripts_hostile_texts_are_texts_too(tmp_path: Path) -> None:
    """A name from an older journal, a cause that a server worded: what stands outside of the data."""
    with journal_of(tmp_path, [item("mug", "A mug")]) as journal:
        journal.note(run=HOSTILE)
        Buyer(journal).fail("mug", HOSTILE)
    write_report(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    outside = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    assert "&lt;img src=x onerror=alert(1)&gt; {{7*7}}" in outside
    assert not re.search("<img|[\u2028\u202e]", outside)
    page = Elements(text)
    assert page.json("overview")["run"] == HOSTILE
    assert {tag for tag, attributes in page.found if tag == "script" and "type" not in attributes} == {"script"}


@pytest.mark.parametrize(
    "text", ["\ud800 alone", "</ScRiPt >", "]]>", "<!--", "\u2029'\\'\n", "\x00", "\U0001f3a8", "*/ /* **/"]
)
def test_any_text_comes_out_of_pages_and_scripts_as_it_was(text: str) -> None:
    written = element("part-0", [text])
    written.encode("ascii")
    assert Elements(written).json("part-0") == [text]
    assert written.count("<") == 2
    call = re.fullmatch(r"batchgenPart\(\"part-0\", \(\) => \{/\*(.*)\*/\}\)\n", in_script("part-0", [text]))
    assert call
    assert not re.search(r"\*/|[^ -~]", call[1])
    assert json.loads(call[1]) == [text]


def test_its_policy_lets_its_own_script_and_style_work_and_nothing_from_a_network(tmp_path: Path) -> None:
    made(tmp_path, 1)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    policy = next(
        attributes["content"] or ""
        for tag, attributes in Elements(text).found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    for kind, body in (("script", re.findall(r"<script>(.*?)</script>", text, re.DOTALL)),
                       ("style", re.findall(r"<style>(.*?)</style>", text, re.DOTALL))):  # fmt: skip
        (only,) = body
        digest = base64.b64encode(hashlib.sha256(only.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert str(tmp_path) not in text


def without_scripts(folder: Path) -> str:
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text.partition("<noscript>")[2].partition("</noscript>")[0]


def test_without_scripts_the_sums_are_there(tmp_path: Path) -> None:
    made(tmp_path, 10)
    shown = without_scripts(tmp_path)
    assert "What did not succeed" in shown
    assert "0.504" in shown, "the net sum"
    assert "&lt;/script&gt;&lt;img src=x" in shown
    assert "batchgen run MANIFEST --retry failed" in shown


def test_a_large_run_lies_in_scripts_beside_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "IN_ONE_FILE", 10)
    monkeypatch.setattr(writer, "_CHUNK", 8)
    monkeypatch.setattr(writer, "PART_SIZE", 4)
    for number in (2, 3):
        (tmp_path / "report" / f"{number}").mkdir(parents=True)
        (tmp_path / "report" / f"{number}" / "part-9999.js").write_text("of an older report, and one that was killed")
    (tmp_path / "report" / "mine").mkdir()
    assert made(tmp_path, 20, lambda n: HOSTILE if n == 3 else f"Prompt {n}").items == 20
    files, scripts = page_of(tmp_path).json("files"), scripts_of(tmp_path)
    assert files["index"] == [f"report/4/index-000{n}.js" for n in range(3)]
    assert files["parts"] == [f"report/4/part-000{n}.js" for n in range(5)]
    assert len(scripts) == 3 + 3 + 5
    assert [len(scripts[f"index-{n}"]["items"]["key"]) for n in range(3)] == [8, 8, 4]
    assert f"\ni003\n{HOSTILE}\ni004\n" in scripts["text-0"]["text"]
    assert [detail["id"] for n in range(5) for detail in scripts[f"part-{n}"]] == [f"i{n:03}" for n in range(20)]
    assert scripts["index-1"]["outputs"]["item"][0] == 8, "counted from the beginning of the run"
    assert list(scripts["index-1"]["items"]["error"]) == ["9"]
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["4", "mine"]
    (tmp_path / "report" / "mine").rmdir()
    monkeypatch.setattr(writer, "IN_ONE_FILE", 100)
    write_report(tmp_path)
    assert not (tmp_path / "report").exists(), "a report that does not need it leaves none"


def test_a_first_report_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "IN_ONE_FILE", 10)
    monkeypatch.setattr(Columns, "names", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made(tmp_path, 20)
    assert not list(tmp_path.glob("*report*"))


def test_a_report_that_fails_leaves_the_older_one_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "IN_ONE_FILE", 10)
    made(tmp_path, 20)
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("report*")) + sorted(tmp_path.rglob("*.js"))
              if path.is_file()}  # fmt: skip
    with monkeypatch.context() as broken:
        broken.setattr(Columns, "names", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_report(tmp_path)
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["1"]
    assert not list(tmp_path.glob(".report*"))
    (tmp_path / "report" / "2").write_text("in the way")
    write_report(tmp_path)
    assert page_of(tmp_path).json("files")["index"] == ["report/3/index-0000.js"]


def test_of_a_very_large_run_what_needs_a_look_and_a_sample_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IN_ONE_FILE", 10)
    monkeypatch.setattr(writer, "ALL", 50)
    monkeypatch.setattr(writer, "_SAMPLE", 15)
    first = made(tmp_path, 100)
    append_picks(tmp_path, [Pick("i001", item("i001", "Prompt 1").digest, 2, f"{2:064x}", "keep")])
    second = write_report(tmp_path)
    assert second.of == first.of == 100
    page = page_of(tmp_path)
    assert page.json("overview")["sample"] == {"shown": second.items, "of": 100}
    scripts = scripts_of(tmp_path)
    shown = scripts["index-0"]["items"]["id"]
    assert {f"i{n:03}" for n in range(9, 100, 10)} <= set(shown), "all that failed"
    assert "i001" in shown, "what was picked"
    assert 10 < len(shown) <= 60
    assert [detail["id"] for detail in scripts["part-0"]] == shown


@pytest.mark.parametrize("count", [0, 1])
def test_of_nothing_and_of_one(tmp_path: Path, count: int) -> None:
    assert made(tmp_path, count).items == count
    assert page_of(tmp_path).json("index")["items"]["id"] == [f"i{n:03}" for n in range(count)]


def test_a_run_that_goes_on_is_said_to(tmp_path: Path) -> None:
    """Also by its owner, until it has ended."""
    with journal_of(tmp_path, [item("mug", "A mug"), item("cup", "A cup")]) as journal:
        Buyer(journal).doubt("mug", "no answer")
    with own(tmp_path, datetime(2026, 2, 1, tzinfo=UTC)):
        write_report(tmp_path)
        assert page_of(tmp_path).json("overview")["running"]
        assert "; still running." in without_scripts(tmp_path)
        write_report(tmp_path, ended=True)
        assert not page_of(tmp_path).json("overview")["running"]
    shown = without_scripts(tmp_path)
    assert "still running" not in shown
    assert "In doubt: may have been charged" in shown
    assert f"batchgen resolve {tmp_path.name} mug</code>" in shown
    assert re.search("<p>Next: [^{}]+: <code>batchgen [^{}]+</code></p>", shown)
    assert f"{tmp_path.parent}" not in (tmp_path / "report.html").read_text(encoding="utf-8")
