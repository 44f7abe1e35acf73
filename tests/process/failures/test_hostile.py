"""Texts from elsewhere that mean harm: none reaches the terminal as it is, a spreadsheet, or a place out of the run."""

import csv
import json
import os
import pty
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.running import COMMAND, FAST, KEY, batchgen, environment, simulator, summary_of

from batchgen.cli.boundary import guarded

EVIL = (
    "\x1b[2J\x1b]0;owned\x07",  # clears the screen, renames the window
    "\x9b31m\x90q\x9c",  # the same family, one byte each
    "safe\u202egnp.exe\u2066\u200e",  # reads backwards
    "\x00\x08\x08\x08\x7f",
    "first\r\nerror: second",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1+1",
    "\u200b=1+1",
    "long " * 2000,
)
ALL = "".join(EVIL)
NUL = {0: None}
"""Takes U+0000 out of what a manifest is to hold, which refuses it."""


class Api(BaseHTTPRequestHandler):
    """Rejects, fails or garbles whatever is ordered, and says the worst about it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = int(order["prompt"].rpartition(" ")[2])
        if number % 3 == 0:
            details = [{"path": ALL, "message": ALL}]
            self.say(400, {"error": {"type": "invalid_request", "message": ALL, "details": details}})
        elif number % 3 == 1:
            self.say(202, {"id": f"job-{number}", "status": "processing", "model": order["model"]})
        else:
            self.say(503, {"error": {"type": ALL, "message": ALL}})

    def do_GET(self) -> None:
        job_id = self.path.rpartition("/")[2]
        self.say(200, {"id": job_id, "status": "failed", "error": ALL, "model": ALL})

    def say(self, status: int, answer: dict[str, object]) -> None:
        raw = json.dumps(answer).encode()
        self.send_response(status, "\x1b[2J=1+1")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def on_a_terminal(*arguments: object, cwd: Path) -> tuple[int, str]:
    """Run a command whose every stream is a terminal; return its code and all that the terminal was sent."""
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def listen() -> None:
        try:
            while chunk := os.read(ours, 65536):
                seen.append(chunk)
        except OSError:
            return  # how Linux says that nobody is at the other end any more

    with subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        cwd=cwd, env=environment(API18_KEY=KEY, BATCHGEN_MAX_COST="9", TERM="xterm"), stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        listener = threading.Thread(target=listen)
        listener.start()
        code = process.wait(60)
        listener.join(10)
    os.close(ours)
    return code, b"".join(seen).decode(errors="surrogateescape")


def harmless(shown: str, *, longest: int = 30_000) -> None:
    """Assert that a terminal can show this: line ends, a progress bar's returns, and nothing else that steers it."""
    odd = {character for character in shown if not character.isprintable()} - set("\n\r")
    assert not odd, (odd, shown)
    assert "\rerror: second" not in shown
    assert "\nerror: second" not in shown
    assert len(shown) < longest


def escaped(text: str) -> str:
    return json.dumps(text)  # JSON is YAML


def test_what_the_api_says_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tags = {f"t{number}": text[:80].translate(NUL) for number, text in enumerate(EVIL)}
    prompt = ALL[:2000].translate(NUL)
    lines = [
        f"  - {{id: mug-{number}, model: hera-1.0-text-to-image, prompt: {escaped(f'{prompt} {number}')},"
        f" tags: {json.dumps(tags)}}}"
        for number in range(6)
    ]
    (tmp_path / "job.yaml").write_text("\n".join(["version: 1", "name: job", "items:", *lines]), encoding="utf-8")
    run = tmp_path / "output" / "job"
    with serving() as url:
        code, shown = on_a_terminal("run", "job.yaml", "--base-url", url, *FAST[:4], "--yes", cwd=tmp_path)
        assert code == 4, shown
        harmless(shown)
    code, shown = on_a_terminal("status", run, cwd=tmp_path)
    assert code == 0, shown
    harmless(shown)
    for command in (
        ("ledger", run),
        *(("ledger", run, "--by", f"tag:t{number}") for number in (0, 2, 4)),
        ("plan", tmp_path / "job.yaml"),
        ("verify", run),
        ("resolve", run, "--export", tmp_path / "doubts.csv"),
        ("resolve", run, f"mug-2{EVIL[0]}", "--not-charged"),
        ("resolve", run, "mug-2", "--job-id", ALL),
    ):
        code = guarded([str(word) for word in command])
        output, errors = capsys.readouterr()
        assert code in (0, 1, 2), (command, output, errors)
        harmless(output + errors)
    harmless((run / "batchgen.log").read_text(encoding="utf-8"), longest=60_000)
    for path in (run / "ledger.csv", tmp_path / "doubts.csv"):
        sheet_is_harmless(path)
    states = {row["state"] for row in rows_of(run / "ledger.csv")}
    assert states == {"rejected", "failed", "in_doubt"}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def sheet_is_harmless(path: Path) -> None:
    for row in rows_of(path):
        for name, cell in row.items():
            money = name.endswith("_usd")
            allowed = set("\r\n") if name == "prompt" else set()
            assert money or not cell.lstrip(" \u200b\ufeff").startswith(("=", "+", "-", "@")), (name, cell[:40])
            assert not {c for c in cell if ord(c) < 32 or 127 <= ord(c) < 160} - allowed, (name, cell[:40])


@pytest.mark.parametrize(
    "item",
    [
        f"{{id: {escaped(EVIL[0])}, prompt: x}}",
        f"{{id: mug, prompt: {escaped(ALL)}}}",
        f"{{id: mug, prompt: x, {escaped(EVIL[0])}: 1}}",
        f"{{id: mug, prompt: x, model: {escaped(EVIL[2] + EVIL[1])}}}",
        f"{{id: mug, prompt: x, aspect_ratio: {escaped(EVIL[3] + EVIL[4])}}}",
        f"{{id: mug, prompt: x, tags: {{{escaped(EVIL[0])}: 1}}}}",
        f"{{id: mug, prompt: 'raw {EVIL[2]}', nonsense: 1}}",
        f"{{rows: {escaped(EVIL[0] + EVIL[4])}, prompt: x}}",
        f"{{id: mug, prompt: x, image: {escaped(EVIL[5] + EVIL[0])}}}",
    ],
)
def test_what_a_manifest_says_stays_text(tmp_path: Path, item: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["version: 1", "name: job", "defaults: {model: hera-1.0-text-to-image}", "items:", f"  - {item}"]
    (tmp_path / "job.yaml").write_text("\n".join(lines), encoding="utf-8")
    assert guarded(["validate", str(tmp_path / "job.yaml")]) == 2
    output, errors = capsys.readouterr()
    harmless(output + errors, longest=12_000)


def test_names_of_files_stay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.yaml").write_text(
        "version: 1\nname: job\nitems: [{id: mug, model: hera-1.0-text-to-image, prompt: Mug}]\n", encoding="utf-8"
    )
    with simulator("--speed", 500, "--media", "tiny") as api:
        assert batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=tmp_path).returncode == 0
    for number, name in enumerate(EVIL[:5]):
        (tmp_path / "output" / "job" / "files" / f"{name.replace(chr(0), '')}{number}.png").write_bytes(b"")
    os.close(os.open(os.fsencode(tmp_path) + b"/output/job/files/\x80\xff.png", os.O_CREAT))
    code, shown = on_a_terminal("verify", "job", cwd=tmp_path)
    assert code == 0, shown
    assert "6" in shown
    harmless(shown)
    for command in (("status", f"jo{EVIL[0]}"), (f"ru{EVIL[0]}",), ("plan", f"{EVIL[2]}.yaml"), ("ledger", EVIL[4])):
        assert guarded(list(command)) == 2
        output, errors = capsys.readouterr()
        harmless(output + errors)


# ---- places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "identity", "message"),
    [
        ("../../${id}", "mug", "begins with a dot"),
        ("/srv/${id}", "mug", "must be relative"),
        ("a/../../${id}", "mug", "begins with a dot"),
        ("a\\0b/${id}", "mug", "a path cannot contain"),
        ("${id}", "../mug", "is not a valid id"),
        ("${id}", "/srv/mug", "is not a valid id"),
        ("${id}", "..", "is not a valid id"),
    ],
)
def test_a_path_out_of_the_run_is_refused(
    tmp_path: Path, path: str, identity: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(["run", str(place_manifest(tmp_path, path, identity)), "--simulate", "--quiet"]) == 2
    assert message in capsys.readouterr().err
    assert [found.name for found in tmp_path.iterdir()] == ["job.yaml"]


def place_manifest(folder: Path, path: str, identity: str) -> Path:
    manifest = folder / "job.yaml"
    manifest.write_text(
        f'version: 1\nname: job\nrun: {{path: "{path}"}}\nitems:\n'
        f'  - {{id: "{identity}", model: hera-1.0-text-to-image, prompt: Mug, tags: {{t: "../../.."}}}}\n',
        encoding="utf-8",
    )
    return manifest


def test_a_tag_cannot_lead_out_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    place_manifest(tmp_path / "inside", "${tags.t}/${id}", "mug")
    with simulator("--speed", 500, "--media", "tiny") as api:
        ended = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, "--output", "out", cwd=tmp_path / "inside")
        assert ended.returncode in (0, 2), ended.stderr
        assert len(list((tmp_path / "inside").rglob("mug.png"))) == len(api.jobs())
    assert [found.name for found in tmp_path.iterdir()] == ["inside"]


def test_links_in_the_folder_of_files_lead_nowhere(tmp_path: Path) -> None:
    """A link in place of a file is moved out of the way like a file; a link in place of a folder is refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("precious", encoding="utf-8")
    (tmp_path / "job.yaml").write_text(
        "version: 1\nname: job\nrun: {path: '${tags.where}/${id}'}\ndefaults: {model: hera-1.0-text-to-image}\nitems:\n"
        "  - {id: first, prompt: First, tags: {where: first}}\n  - {id: mug, prompt: Mug, tags: {where: here}}\n"
        "  - {id: bowl, prompt: Bowl, tags: {where: here}}\n",
        encoding="utf-8",
    )
    run = tmp_path / "output" / "job"
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = ("run", "job.yaml", "--base-url", api.url, *FAST)
        assert batchgen(*options, "--only", "first", cwd=tmp_path).returncode == 0
        (run / "files" / "here").mkdir()
        for name in ("mug.part", "mug.png", "bowl.png"):
            (run / "files" / "here" / name).symlink_to(outside / "victim")
        ended = batchgen(*options, cwd=tmp_path)
        assert summary_of(ended)["done"] == 3, ended.stderr
        assert not (run / "files" / "here" / "mug.png").is_symlink()
        (tmp_path / "job.yaml").write_text(
            (tmp_path / "job.yaml").read_text().replace("where: here", "where: there").replace("Mug", "Other mug")
        )
        (run / "files" / "there").symlink_to(outside)
        refused = batchgen(*options, cwd=tmp_path)
        assert refused.returncode == 5, refused.stdout
        assert "a symbolic link there points outside" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert [found.name for found in outside.iterdir()] == ["victim"]
    assert (outside / "victim").read_text(encoding="utf-8") == "precious"
