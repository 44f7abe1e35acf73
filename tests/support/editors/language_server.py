"""yaml-language-server as an editor drives it: the Language Server Protocol 3.17 over its standard streams."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

SETTINGS = {"yaml": {"schemaStore": {"enable": False}, "completion": True, "hover": True, "validate": True}}
"""Without the public catalogue of schemas: the test asks no network for anything."""


class Editor:
    """An editor with one window."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._out: BinaryIO = process.stdin  # type: ignore[assignment]  # a pipe opened in binary mode
        self._in: BinaryIO = process.stdout  # type: ignore[assignment]  # see above
        self._asked = 0
        self._version = 0
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}

    def start(self, folder: Path) -> None:
        """Introduce the editor, which has a folder open."""
        self._ask(
            "initialize",
            {
                "processId": None,
                "rootUri": folder.as_uri(),
                "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name}],
                "capabilities": {
                    "workspace": {"configuration": True},
                    "textDocument": {
                        "hover": {"contentFormat": ["markdown"]},
                        "completion": {"completionItem": {"documentationFormat": ["markdown"], "snippetSupport": True}},
                    },
                },
            },
        )
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": SETTINGS})

    def open(self, path: Path, text: str | None = None) -> list[dict[str, Any]]:
        """Open a file, with another text than it has if one is given, and return what the server finds wrong."""
        if text is None:
            text = path.read_text(encoding="utf-8")
        uri = path.as_uri()
        self._diagnostics.pop(uri, None)
        self._version += 1  # the server keeps what it read of a version
        document = {"uri": uri, "languageId": "yaml", "version": self._version, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        self._await(uri)
        return self._diagnostics[uri]

    def close(self, path: Path) -> None:
        """Close a file, so that it can be opened again; the server then takes back what it found."""
        self._diagnostics.pop(path.as_uri(), None)
        self._tell("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})
        self._await(path.as_uri())

    def hover(self, path: Path, line: int, character: int) -> str:
        """Return what is shown where the pointer rests, as Markdown; lines and characters count from 0."""
        answer = self._ask("textDocument/hover", self._place(path, line, character))
        return "" if answer is None else str(answer["contents"]["value"])

    def complete(self, path: Path, line: int, character: int) -> dict[str, dict[str, Any]]:
        """Return what is offered, by label."""
        answer = self._ask("textDocument/completion", self._place(path, line, character))
        return {item["label"]: item for item in answer["items"]}

    def stop(self) -> None:
        """Say goodbye, as the protocol wants it."""
        self._ask("shutdown", None)
        self._tell("exit", None)

    def _await(self, uri: str) -> None:
        """Wait for what the server finds wrong in a file."""
        while uri not in self._diagnostics:
            self._take(self._read())

    def _place(self, path: Path, line: int, character: int) -> dict[str, Any]:
        return {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": character}}

    def _ask(self, method: str, given: object) -> Any:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": given})
        while True:
            message = self._read()
            if message.get("id") == self._asked and "method" not in message:
                assert "error" not in message, message
                return message["result"]
            self._take(message)

    def _tell(self, method: str, given: object) -> None:
        self._send({"method": method, "params": given})

    def _take(self, message: Mapping[str, Any]) -> None:
        """Answer what the server asks, and keep what it tells."""
        if message.get("method") == "textDocument/publishDiagnostics":
            told = message["params"]
            self._diagnostics[told["uri"]] = told["diagnostics"]
        elif message.get("method") == "workspace/configuration":
            wanted: Sequence[Mapping[str, str]] = message["params"]["items"]
            self._send({"id": message["id"], "result": [SETTINGS.get(item["section"]) for item in wanted]})
        elif "id" in message and "method" in message:
            self._send({"id": message["id"], "result": None})

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._out.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._out.flush()

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._in.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the language server has gone away"
        found: dict[str, Any] = json.loads(self._in.read(length))
        return found


@contextmanager
def editor(packages: Path, folder: Path) -> Iterator[Editor]:
    """An editor with a folder open, and the language server that npm installed below `packages`."""
    server = packages / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    command = ["node", str(server), "--stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder) as process:
        try:
            opened = Editor(process)
            opened.start(folder)
            yield opened
            opened.stop()
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
