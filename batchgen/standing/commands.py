"""The commands that continue a run or look after it, so that they work where they are pasted.

A run notes with which options the same command continues it, and that leads other commands to its money and its API.
"""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence

from batchgen.api import DEFAULT_BASE_URL
from batchgen.core.text import printable
from batchgen.journal import is_embedded

_FACT = "options"
"""The fact that holds the options, quoted for a shell."""
_LONGEST = 4096
_REACHING = frozenset({"--api-key-file", "--catalog", "--proxy"})
"""What other commands about the run folder need of them, to reach the API that it belongs to."""

_OF_A_PLACE = frozenset({"--lease", "--output", "--run", "--shard", "--state"})
"""What names the run folder itself: another one that goes on with its items has others."""
_CHANGED = {"max_cost": "--max-cost", "canary": "--canary"}
"""By the word in the summary: the option that must be another one, or left out, for a run to continue."""


def option_facts(options: Sequence[str]) -> dict[str, str]:
    """Return what a journal has to note of the options with which the same command continues."""
    return {_FACT: shlex.join(options)}


def moved_option_facts(facts: Mapping[str, str], place: Sequence[str]) -> dict[str, str]:
    """Return the noted options as those of a run elsewhere, which goes on with the same items.

    `place` are the options that lead there.
    """
    kept = [word for option in _noted(facts) if option[0] not in _OF_A_PLACE for word in option]
    return option_facts([*kept, *place])


def continuing(facts: Mapping[str, str], only: Sequence[str] = (), stopped_because: str | None = None) -> str:
    """Return the command that continues the run with these facts.

    `only` are the patterns that select its items. The option that a run stopped at is left out.
    """
    manifest = facts.get("manifest", "")
    # One that was moved or deleted has to be named by the reader. `Path.is_file` raises where nobody may look.
    named = manifest if os.path.isfile(manifest) else "MANIFEST"  # noqa: PTH113
    changed = _CHANGED.get(stopped_because or "")
    kept = [word for option in _noted(facts) if option[0] != changed for word in option]
    patterns = [word for pattern in only for word in ("--only", pattern)]
    api = ["--simulate"] if is_embedded(facts) else _address(facts)
    return printable(shlex.join(["batchgen", "run", named, *kept, *api, *patterns]), _LONGEST)


def reaching(facts: Mapping[str, str]) -> str:
    """Return the options, quoted for a shell, with which `collect` and `verify` reach the API of a run folder."""
    words = [word for option in _noted(facts) if option[0] in _REACHING for word in option]
    return shlex.join([*words, *([] if is_embedded(facts) else _address(facts))])


def _address(facts: Mapping[str, str]) -> list[str]:
    api = facts.get("api", DEFAULT_BASE_URL)
    return [] if api == DEFAULT_BASE_URL else ["--base-url", api]


def _noted(facts: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield each noted option, with its value where it has one."""
    words = shlex.split(facts.get(_FACT, ""))
    starts = [place for place, word in enumerate(words) if word.startswith("--")]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=False):
        yield tuple(words[start:end])
