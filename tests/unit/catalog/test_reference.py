"""The provider's published page, read into the terms of the tables: its forms, and what of it cannot be read."""

import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pages import PAGE, folded, one_model, unfolded, with_tables, wrapped

from batchgen.catalog import load_catalog, price_of
from batchgen.catalog.reference import Reference, read_reference
from batchgen.core.errors import ManifestError

CATALOG = load_catalog()
FORMS: dict[str, Callable[[str], str]] = {
    "folded": folded,
    "unfolded": unfolded,
    "wrapped": wrapped,
    "tables": with_tables,
    "tables between tabs": lambda page: with_tables(page, "\t"),
    "tables between blanks": lambda page: with_tables(page, "    "),
    "tables between single blanks": lambda page: with_tables(page, " "),
    "tables with a line for each cell": lambda page: with_tables(page, "\n"),
    "tables with a line for each asterisk": lambda page: with_tables(page, "\n*\n"),
    "tables, unfolded": lambda page: with_tables(unfolded(page).replace("\n\nP", " P").replace("\n- `", " - `")),
    "tables, folded": lambda page: folded(with_tables(page)),
    "bold labels": lambda page: re.sub(r"(Model id|Family|Endpoint|Output|Pricing|Parameters):", r"**\1:**", page),
    "bold before the colon": lambda page: re.sub(r"- (Model id|Family|Output|Pricing):", r"- **\1**:", page),
    "headings": lambda page: unfolded(page).replace("Parameters:", "#### Parameters"),
    "fences": lambda page: re.sub(r"(?<=body: )(.*)", r"\n\n```json\n\1\n```\n", unfolded(page)),
    "byte order mark": lambda page: f"\ufeff{page}",
}


def models(page: str) -> dict[str, object]:
    return {model_id: told.model for model_id, told in read_reference(page, "page.txt").models.items()}


def changed(old: str, new: str, page: str = PAGE) -> str:
    assert old in page
    return page.replace(old, new, 1)


def faults(page: str) -> list[str]:
    with pytest.raises(ManifestError) as refused:
        read_reference(page, "page.txt")
    assert str(refused.value).endswith("in the published page; nothing was changed")
    return [f"{problem.line}:{problem.column}: {problem.message}" for problem in refused.value.problems]


def price(page: str, model_id: str) -> tuple[object, str | None]:
    told = read_reference(page, "page.txt").models[model_id]
    return told.model.price, told.unknown_price


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_forms_of_a_page_say_the_same(form: Callable[[str], str]) -> None:
    assert models(form(PAGE)) == models(PAGE)
    assert list(models(form(PAGE))) == list(CATALOG.models)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("model_id", ["centaurus-1.0-text-to-video", "zeus-1.0-image-to-video-480p"])
def test_the_page_of_one_model_says_what_the_page_of_all_says(form: Callable[[str], str], model_id: str) -> None:
    reference = read_reference(form(one_model(PAGE, model_id)), "page.txt")
    assert not reference.complete
    assert {model_id: reference.models[model_id].model} == {model_id: models(PAGE)[model_id]}
    assert read_reference(form(PAGE), "page.txt").complete


def test_what_is_read() -> None:
    reference = read_reference(PAGE, "page.txt")
    hera = reference.models["hera-1.0-image-edit"].model
    images = hera.parameter("images")
    assert images is not None
    assert (images.type, images.required, images.min_items, images.max_items) == ("urls", True, 1, 3)
    assert (images.formats, images.max_megabytes) == (("JPEG", "PNG", "WEBP", "BMP"), 10)
    assert (hera.output, hera.endpoint, hera.family) == ("image", "/v1/images/generations", "Hera 1.0")
    prompt = hera.parameter("prompt")
    assert prompt is not None
    assert (prompt.max_length, prompt.default, prompt.options) == (2500, None, ())
    zeus = reference.models["zeus-1.0-image-to-video"].model
    duration, seed = zeus.parameter("duration"), zeus.parameter("seed")
    assert duration is not None
    assert seed is not None
    assert (duration.options, duration.default, duration.minimum) == ((5, 8), 5, None)
    assert (seed.random, seed.default, seed.options) == (-1, -1, ())
    centaurus = reference.models["centaurus-1.0-text-to-video"].model
    length = centaurus.parameter("duration")
    assert length is not None
    assert (length.options, length.minimum, length.maximum) == ((), 2, 15)
    assert price_of(centaurus, {"resolution": "1080p", "duration": 7}) == Decimal("2.10")
    assert reference.models["hera-1.0-text-to-image"].model.outputs == "num_images"


def test_each_fact_has_its_place() -> None:
    for form in (folded, unfolded, wrapped):
        page = form(PAGE).replace("\r\n", "\n")
        told = read_reference(page, "page.txt").models["zeus-1.0-image-to-video"]
        place = told.places["seed"]
        line = page.splitlines()[place.line - 1]
        assert line[place.column - 1 :].startswith("`seed`")
        place = told.places["Pricing"]
        assert page.splitlines()[place.line - 1][place.column - 1 :].startswith("$0.30")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("`seed` · integer", "`seed` · number", "seed: unknown type 'number'"),
        ("Options: 2–15", "Options: 2–", "duration: expected whole numbers or a range as options, got '2–'"),
        ("Options: 2–15", "Options: 15–2", "duration: a range whose end is before its start"),
        ("Options: 5, 10, 15", "Options: 5, 10–15", "expected whole numbers or a range as options, got '5, 10–15'"),
        ("Options: 5, 10, 15", "Options: 5, 10, 10", "duration: an option is listed twice"),
        ("Options: 2–15. Default: 5", "Options: 2–15. Default: 20", "the default 20 is not a value that it may have"),
        ("Options: 720p, 1080p", "Options: 720p or 1080p", "expected a word or a text in quotes, got '720p or 1080p'"),
        ("Options: 720p, 1080p", "Options: 720p–1080p", "cannot read the options '720p–1080p'"),
        ("Options: 720p, 1080p", "Range: 720p to 1080p", "resolution: cannot read 'Range: 720p to 1080p'"),
        ("Options: 2–15", "Between 2 and 15", "duration: cannot read 'Between 2 and 15'"),
        ("Max 2500 characters", "Max 2500 words", "prompt: cannot read 'Max 2500 words'"),
        ("Max 2500 characters", "Max 2500 characters. Max 9 characters", "prompt: says twice what 'Max 9 characters'"),
        ("Default: false", "Default: no", "cannot read the default 'no'"),
        ("Array of 1–3 addresses", "Addresses", "images: how many addresses it takes is not said"),
        ("`seed` · integer · optional", "`seed` · integer · sometimes", "expected `name` · type · REQUIRED"),
        ("- `seed` · integer", "- `seed` integer", "expected `name` · type · REQUIRED or optional"),
        ("`seed` · integer", "`Seed` · integer", "the name must be lower-case letters, digits and underscores"),
        ("- `seed` ·", "- `duration` ·", "the parameter duration is here twice"),
        ('Options: "centaurus-1.0-text-to-video"', 'Options: "other"', "expected model to be a required string"),
        ("POST /v1/video", "GET /v1/video", "expected POST and a path, got 'GET /v1/video/generations'"),
        ("POST /v1/video", "POST //evil.example/v1", "expected POST and a path, got 'POST //evil.example"),
        ("Output: video", "Output: sound", "expected image or video, got 'sound'"),
        ("- Output: video ", "", "centaurus-1.0-text-to-video: Output is missing"),
        ("- Output: video", "- Deprecated: soon - Output: video", "the fact 'Deprecated' is not known"),
        ("- Output: video", "- Output: video - Output: image", "the fact 'Output' is here twice"),
        ("id: `centaurus-1.0-image-to-video`", "id: `centaurus-1.0-text-to-video`", "is here twice"),
        ("id: `centaurus-1.0-image-to-video`", "id: `../../x`", "'../../x' is not a valid model id"),
        (" Parameters: - `model`", " Options: - `model`", "no list of parameters was found"),
        ("Example request body: {", "Example request body: - `late` · {", "a parameter stands behind the end"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_place(old: str, new: str, message: str) -> None:
    for form in (PAGE, unfolded(PAGE), folded(PAGE)):
        if old not in form:
            continue
        found = faults(changed(old, new, form))
        assert any(message in fault for fault in found), found
        assert all(re.match(r"[1-9]\d*:[1-9]\d*: ", fault) for fault in found)
    assert old in PAGE


def test_the_place_of_a_fault_is_that_of_the_page_as_it_was_given() -> None:
    page = changed("`seed` · integer", "`seed` · number", unfolded(PAGE))
    (fault,) = faults(page)
    line = next(n for n, text in enumerate(page.splitlines(), 1) if "number" in text)
    assert fault.startswith(f"{line}:3: seed")
    page = changed("`seed` · integer", "`seed` · number", folded(PAGE))
    (fault,) = faults(page)
    assert fault.startswith(f"1:{page.index('`seed` · number') + 1}: seed")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: no model was found"),
        ("<html><body>Sign in</body></html>", "1:1: no model was found"),
        (folded(with_tables(PAGE, "\t")), "the columns of the table cannot be told apart"),
        (folded(with_tables(PAGE, "\n")), "the columns of the table cannot be told apart"),
        (with_tables(PAGE, " ").replace("`seed` integer", "`seed` number"), "seed: unknown type 'number'"),
        (with_tables(PAGE, "\n").replace("seed`\ninteger", "seed`"), "expected Parameter, Type, Details"),
        (folded(with_tables(PAGE, "    ")), "the columns of the table cannot be told apart"),
        (with_tables(PAGE).replace("| `seed` | integer |", "| `seed` |"), "expected Parameter, Type, Details"),
    ],
)
def test_a_page_of_another_kind_is_refused(text: str, message: str) -> None:
    assert any(message in fault for fault in faults(text))


def test_faults_beyond_a_hundred_are_counted() -> None:
    with pytest.raises(ManifestError, match=r"^\d+ problems") as refused:
        read_reference("- Model id: `x` Parameters: " + "- `a` " * 297, "page.txt")
    assert len(refused.value.problems) == 100
    assert refused.value.more > 100


# ---- prices ------------------------------------------------------------------------------------------------------

RULE = "$0.20/s @ 720p · $0.30/s @ 1080p (× duration)"
MODEL = "centaurus-1.0-text-to-video"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("free until May", "cannot read 'free until May'"),
        ("from $0.20/s @ 720p (× duration)", "cannot read 'from $0.20/s @ 720p'"),
        ("$0.20/s @ 720p (× duration)", "does not cover exactly the values"),
        ("$0.20/s @ 720p · $0.30/s @ 1080p", "a price per second without a parameter that multiplies it"),
        ("$0.20/s @ 720p · $0.30 / image @ 1080p (× duration)", "its amounts have different units"),
        ("$0.20/s @ 720p · $0.30/s @ 720p (× duration)", "two amounts for the same request"),
        ("$0.20/s @ 720p · $0.30/s (1080p, 16:9) (× duration)", "do not depend on the same parameters"),
        ("$0.20/s @ 720p · $0.30/s @ 4k (× duration)", "'4k' is not the value of exactly one parameter"),
        ("$0.20/min @ 720p · $0.30/min @ 1080p (× duration)", "unknown unit 'min'"),
        ("$0.20 @ 720p · $0.30 @ 1080p (× duration)", "it has no unit"),
        ("$0.20/s @ 720p · $0.30/s @ 1080p (× seed)", "a price per second is multiplied by seed"),
        ("$0.20 / image (× duration)", "a price per image is multiplied by duration"),
        ("$0.20/s @ 720p · $0.30/s @ 1080p (× seconds)", "seconds is counted, but is not an integer with a default"),
        ("$0.20 / run (× duration)", "a price per run with a parameter that multiplies it"),
        ("$0.00 / run", "it has an amount of 0"),
        ("$0.20 / run - $0.10 after the first 100", "the description names an amount as well"),
        ("€0.20 / run", "cannot read '€0.20 / run'"),
        ("$0.20 (480p, 5s) / run", "is not the value of exactly one parameter"),
        ("$1,000 / run", "cannot read '$1,000 / run'"),
    ],
)
def test_a_price_rule_of_unknown_form_leaves_the_price_unknown(rule: str, reason: str) -> None:
    for form in (PAGE, unfolded(PAGE), folded(PAGE)):
        found, why = price(changed(RULE, rule, form), MODEL)
        assert found is None
        assert reason in (why or "")


def test_a_price_that_is_not_said_is_unknown() -> None:
    assert price(changed(f"- Pricing: {RULE} ", ""), MODEL) == (None, "it is not said")


def test_other_ways_of_saying_a_known_rule() -> None:
    known = price(PAGE, MODEL)
    for rule in (
        "$0.20 / s @ 720p · $0.30 / s @ 1080p (× duration)",
        "$0.20/second (720p) · $0.30/second (1080p) (× `duration`)",
        "$0.20 (720p) · $0.30 (1080p) / s (× duration)",
    ):
        assert price(changed(RULE, rule), MODEL) == known


# ---- hostile pages -----------------------------------------------------------------------------------------------

PIECES = st.sampled_from([
    "- Model id: ", "`x`", "- Pricing: ", "$1 / run", " · ", " — ", "Parameters:", "- ", "| ", "|---|",
    "\n", "\n\n", "\t", "  ", "| Parameter | Type | Details |\n", "Parameter\tType\tDetails\n",
    "REQUIRED", "optional", "string", "integer", "Options: ", "1–9", "Default: 5.", "### ", "Example request body:",
    "`", "*", "\\", "9" * 40, "\x00", "\x1b[31m", "\u202e", "\ud800", "\x85",
])  # fmt: skip


def read(text: str) -> Reference | None:
    try:
        return read_reference(text, "page.txt")
    except ManifestError:
        return None


@settings(deadline=None, max_examples=200)
@given(st.lists(PIECES | st.text(max_size=5), max_size=60).map("".join))
def test_a_hostile_page_is_refused_or_read(text: str) -> None:
    read(text)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_page_is_refused_or_read(data: st.DataObject) -> None:
    page = data.draw(st.sampled_from([PAGE, unfolded(PAGE), with_tables(PAGE)]))
    at, length = data.draw(st.integers(0, len(page))), data.draw(st.integers(0, 400))
    page = page[:at] + data.draw(st.lists(PIECES, max_size=4).map("".join)) + page[at + length :]
    reference = read(page)
    if reference is not None:
        for told in reference.models.values():
            assert (told.model.price is None) == (told.unknown_price is not None)


SCRAPS = st.sampled_from(
    ["", " ", "- ", "`x`", " · ", "Options: 1–9. ", "$2 / run", "Parameters: ", "# ", "Pricing: ", ". "]
)


def test_a_label_that_a_line_break_divides_is_a_label() -> None:
    page = PAGE.replace("- Sets a picture in motion", "- Sets a picture Options: 1–9. in motion")
    assert page != PAGE
    assert (read(folded(page)), read(page.replace("picture Options", "picture\nOptions"))) == (None, None)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_damaged_page_says_the_same_on_one_line_and_on_many(data: st.DataObject) -> None:
    at, length = data.draw(st.integers(0, len(PAGE))), data.draw(st.integers(0, 200))
    page = PAGE[:at] + data.draw(SCRAPS) + PAGE[at + length :]
    one, many = read(folded(page)), read(wrapped(page))
    assert (one is None) == (many is None)
    if one is not None and many is not None:
        assert [told.model for told in one.models.values()] == [told.model for told in many.models.values()]


TERMS = st.sampled_from([
    "$0.20", "$0.30", "/s", " / run", " / image", " @ 720p", " @ 1080p", " (720p)", " (1080p)", " (720p, 5s)", " · ",
    " ", " (× duration)", " (× seed)", "from ", " + tax", "· $1", "$", "0",
])  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(TERMS, max_size=9).map("".join))
def test_no_amount_of_a_price_rule_is_passed_over(rule: str) -> None:
    found = read(changed(RULE, rule or "-"))
    told = found.models[MODEL].model.price if found is not None else None
    if told is not None:
        amounts = [Decimal(amount) for amount in re.findall(r"\$([0-9.]+)", rule)]
        assert sorted(amounts) == sorted(told.amounts.values())
        assert rule.count("$") == len(amounts)
        assert "from" not in rule
        assert "tax" not in rule


@pytest.mark.parametrize(
    "piece", [" ", "\n", "- ", "|", "*", "`", "#", "- `a` · ", " · ", "$1", "| Parameter | Type |", "9"]
)
def test_a_long_page_comes_to_an_end(piece: str) -> None:
    long = piece * (60_000 // len(piece))
    read(f"- Model id: `x` {long} Parameters: {long}")
    read(f"- Model id: `x` Parameters: - `a` · string · optional — {long}")
    read(f"- Model id: `x`\n| Parameter | Type | Details |\n| {long} | {long} | {long} |")
