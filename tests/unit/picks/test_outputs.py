"""The overview: what was said, what lacks a pick, and what does not count any more."""

from batchgen.picks import Pick, overview, picked_outputs

OUTPUTS = [("mug", "d1", n, f"files/mug@{n}.png", f"sha{n}") for n in (1, 2, 3)]


def told(*made: Pick) -> tuple[list[tuple[int, str]], list[str], int, str]:
    picks = {pick.key: pick for pick in made}
    found = overview(picked_outputs(OUTPUTS, picks), picks)
    assert found.outputs == 3
    shown = [(output.output, output.choice) for output in found.picked]
    return shown, [pick.digest for pick in found.outdated], found.unpicked, found.first_unpicked


def test_outputs_without_a_pick_are_counted() -> None:
    assert told() == ([], [], 3, "mug@1")
    kept, rejected = Pick("mug", "d1", 1, "sha1", "keep"), Pick("mug", "d1", 3, "sha3", "reject")
    assert told(kept, rejected) == ([(1, "keep"), (3, "reject")], [], 1, "mug@2")
    assert told(Pick("mug", "d1", 1, "sha1", "")) == ([], [], 3, "mug@1")


def test_a_rating_alone_is_shown_and_is_no_pick() -> None:
    assert told(Pick("mug", "d1", 2, "sha2", "", rating=3)) == ([(2, "")], [], 3, "mug@1")


def test_picks_of_other_files_are_outdated() -> None:
    edited, bought_again = Pick("mug", "d0", 1, "sha1", "keep"), Pick("mug", "d1", 2, "sha0", "keep")
    gone = Pick("pot", "d5", 1, "sha5", "reject")
    assert told(edited, bought_again, gone) == ([], ["d0", "d1", "d5"], 3, "mug@1")


def test_what_was_said_before_of_an_output_is_not_shown_beside_its_pick() -> None:
    first, second = Pick("mug", "d8", 1, "x", "keep"), Pick("mug", "d9", 1, "x", "reject")
    assert told(first, second)[1] == ["d9"]
    assert told(first, second, Pick("mug", "d1", 1, "sha1", "keep"))[1] == []


def test_a_pick_that_was_taken_back_is_not_outdated() -> None:
    assert told(Pick("mug", "d0", 1, "sha1", ""))[1] == []


def test_what_others_wait_for_is_named_until_exactly_one_output_is_kept() -> None:
    def awaited(*kept: int) -> tuple[str, ...]:
        picks = {pick.key: pick for pick in (Pick("mug", "d1", n, f"sha{n}", "keep") for n in kept)}
        return overview(picked_outputs(OUTPUTS, picks), picks, [("cup", "d0"), ("mug", "d1")]).awaited

    assert (awaited(), awaited(1), awaited(1, 3)) == (("cup", "mug"), ("cup",), ("cup", "mug"))
