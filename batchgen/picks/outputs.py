"""The outputs of a run beside what was said of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from batchgen.picks.file import Choice, Pick


@dataclass(frozen=True, slots=True)
class PickedOutput:
    """An output that can be picked, with what was said of it."""

    item: str
    digest: str
    output: int
    path: str
    """Of its file, relative to the run folder."""
    sha256: str
    pick: Pick | None
    """None: nothing was said of this very file."""

    @property
    def choice(self) -> Choice:
        """Whether it was kept or rejected; empty if neither."""
        return "" if self.pick is None else self.pick.pick

    def picked(self, choice: Choice, reason: str, rating: int | None, at: str) -> Pick:
        """Return a pick of this output as it is now."""
        return Pick(self.item, self.digest, self.output, self.sha256, choice, reason, rating, at)


def picked_outputs(
    outputs: Iterable[tuple[str, str, int, str, str]], picks: Mapping[tuple[str, str, int], Pick]
) -> Iterator[PickedOutput]:
    """Yield outputs (item, digest, output, path, SHA-256) with their picks; one about another file does not count."""
    for item, digest, output, path, sha256 in outputs:
        pick = picks.get((item, digest, output))
        counts = pick is not None and pick.sha256 == sha256 and not pick.empty
        yield PickedOutput(item, digest, output, path, sha256, pick if counts else None)


@dataclass(frozen=True, slots=True)
class PicksOverview:
    """What people said of the outputs of a run."""

    outputs: int
    """On disk, of finished items."""
    unpicked: int
    """How many of them were neither kept nor rejected."""
    first_unpicked: str
    """The first of these, as `ITEM@N`; empty if there is none."""
    picked: tuple[PickedOutput, ...]
    """Those of which something was said."""
    outdated: tuple[Pick, ...]
    """Picks that do not count, since they are about a file that is not the item's output, or not any more."""
    awaited: tuple[str, ...]
    """Ids of items that others wait for, since not exactly one output is kept."""


def overview(
    outputs: Iterable[PickedOutput],
    picks: Mapping[tuple[str, str, int], Pick],
    needed: Sequence[tuple[str, str]] = (),
) -> PicksOverview:
    """Sum up outputs, with the picks of their run folder; memory grows with the picks, not with the outputs.

    `needed` are the items (id, digest) of which others need the one output that is kept. Of several outdated picks of
    one output, the last one is named, and none where the present file has a pick.
    """
    outdated = {(pick.item, pick.output): pick for pick in picks.values() if not pick.empty}
    picked, count, unpicked, first = [], 0, 0, ""
    for output in outputs:
        count += 1
        if output.pick is not None:
            picked.append(output)
            outdated.pop((output.item, output.output), None)
        if not output.choice:
            unpicked += 1
            first = first or f"{output.item}@{output.output}"
    kept = Counter((output.item, output.digest) for output in picked if output.choice == "keep")
    awaited = tuple(item for item, digest in needed if kept[item, digest] != 1)
    return PicksOverview(count, unpicked, first, tuple(picked), tuple(outdated.values()), awaited)
