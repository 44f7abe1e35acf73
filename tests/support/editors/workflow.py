"""A workflow of GitHub, played on this machine: the shell steps are run by bash as GitHub runs them.

Steps of actions are not run: the checkout is made by whoever plays, and the others are told to a listener. Conditions
are those that our examples use.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from support.running import COMMAND, environment

SHELL = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c"]
"""How GitHub runs a step: without `shell`, it leaves pipefail out, which is no stricter."""


@dataclass
class Played:
    """What came of a job: how each shell step ended, in order, and what they wrote."""

    ended: dict[str, int] = field(default_factory=dict)
    output: str = ""
    uploaded: dict[str, Path] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether the job is green."""
        return not any(self.ended.values())


class Job:
    """The one job of a workflow, in a clone of a repository."""

    def __init__(self, workflow: Path, checkout: Path, scratch: Path, event: Mapping[str, str], **more: str) -> None:
        read: dict[str, Any] = yaml.safe_load(workflow.read_text(encoding="utf-8"))
        (self._job,) = read["jobs"].values()
        self._checkout = checkout
        self._event = dict(event)
        (scratch / "bin").mkdir(parents=True, exist_ok=True)
        # What `pip install` would have put there, and nothing else.
        (scratch / "bin" / "pip").write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
        (scratch / "bin" / "pip").chmod(0o755)
        (scratch / "bin" / "gh").write_text(f"#!{sys.executable}\n{_GH}", encoding="utf-8")
        (scratch / "bin" / "gh").chmod(0o755)
        self._comments = scratch / "comments.json"
        self._environment = environment(
            PATH=os.pathsep.join([str(scratch / "bin"), str(Path(COMMAND).parent), os.environ["PATH"]]),
            RUNNER_TEMP=str(scratch),
            GITHUB_STEP_SUMMARY=str(scratch / "summary.txt"),
            GITHUB_REPOSITORY="harbour-cafe/pictures",
            GITHUB_SERVER_URL="https://github.com",
            COMMENTS=str(self._comments),
            **more,
        )

    @property
    def comments(self) -> dict[str, str]:
        """The comments of the pull request, by id."""
        found: dict[str, str] = json.loads(self._comments.read_text(encoding="utf-8"))
        return found

    def play(self, until: Callable[[str], bool] = lambda _: False) -> Played:
        """Run the steps, and return what came of them. Where `until` holds of a step's name, the machine vanishes."""
        played = Played()
        outcomes: dict[str, str] = {}
        for step in self._job["steps"]:
            name = step.get("name") or step.get("run") or step["uses"]
            if until(name):
                return played
            if not self._wanted(step.get("if"), outcomes, failed=not played.succeeded):
                continue
            if "uses" in step:
                if "path" in step.get("with", {}):
                    played.uploaded[step["with"]["name"]] = self._checkout / step["with"]["path"]
                continue
            given = {key: self._filled(value) for key, value in {**self._job["env"], **step.get("env", {})}.items()}
            done = subprocess.run(
                [*SHELL, step["run"]],
                cwd=self._checkout, env=self._environment | given, timeout=120, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
            )  # fmt: skip
            played.ended[name] = done.returncode
            played.output += done.stdout
            outcomes[step.get("id", name)] = "success" if done.returncode == 0 else "failure"
        return played

    def _filled(self, value: str) -> str:
        for name, told in self._event.items():
            value = value.replace(f"${{{{ {name} }}}}", told)
        assert "${{" not in value, f"nothing is known of {value}"
        return value

    def _wanted(self, condition: str | None, outcomes: Mapping[str, str], *, failed: bool) -> bool:
        """Whether a step is run."""
        if condition is None:
            return not failed
        parts = condition.split(" && ")
        always = "always()" in parts
        return (always or not failed) and all(self._holds(part, outcomes) for part in parts if part != "always()")

    def _holds(self, comparison: str, outcomes: Mapping[str, str]) -> bool:
        sides = [self._value(side, outcomes) for side in comparison.split(" == ")]
        assert len(sides) == 2, f"unknown condition {comparison}"
        return sides[0] == sides[1]

    def _value(self, text: str, outcomes: Mapping[str, str]) -> str:
        if text.startswith("'"):
            return text.strip("'")
        if text.startswith("steps."):
            return outcomes.get(text.split(".")[1], "skipped")
        return self._event[text]


_GH = '''
"""The part of GitHub's own command that the workflow uses: comments are listed, made and changed."""
import json, os, pathlib, re, sys
store = pathlib.Path(os.environ["COMMENTS"])
comments = json.loads(store.read_text()) if store.exists() else {}
words = sys.argv[1:]
assert words.pop(0) == "api" and os.environ["GH_TOKEN"]
address = next(word for word in words if word.startswith("repos/harbour-cafe/pictures/issues/"))
if "--jq" in words:
    chosen = words[words.index("--jq") + 1]
    marker = re.fullmatch(r'\\.\\[\\] \\| select\\(\\.body \\| startswith\\("(.*)"\\)\\) \\| \\.id', chosen)
    print(*(key for key, body in comments.items() if body.startswith(marker[1])), sep="\\n")
else:
    field = words[words.index("--field") + 1]
    assert field.startswith("body=@")
    method = words[words.index("--method") + 1]
    key = address.rpartition("/")[2] if method == "PATCH" else str(len(comments) + 1)
    assert method == "POST" and address.endswith("/issues/7/comments") or key in comments
    store.write_text(json.dumps({**comments, key: pathlib.Path(field[6:]).read_text(encoding="utf-8")}))
'''
