"""What differs between a published page and the tables, and the tables that are made of a page."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pages import PAGE, folded, one_model, unfolded, with_tables

from batchgen.catalog import Catalog, load_catalog, price_of, read_catalog, schema_files
from batchgen.catalog.differences import differences
from batchgen.catalog.importing import imported
from batchgen.catalog.reference import Reference, read_reference
from batchgen.catalog.tables_text import tables_text

CATALOG = load_catalog()
FIRST, LAST = "centaurus-1.0-text-to-video", "zeus-1.0-image-to-video-480p"
NEW = PAGE[PAGE.index("### ") : PAGE.index("### ", PAGE.index("### ") + 1)].replace(
    FIRST, "centaurus-2.0-text-to-video"
)
"""A model that the tables do not have."""


def read(page: str) -> Reference:
    return read_reference(page, "page.txt")


def changed(old: str, new: str, page: str = PAGE) -> str:
    assert old in page
    return page.replace(old, new, 1)


def without_model(model_id: str, page: str = PAGE) -> str:
    parts = page.split("### ")
    return "### ".join(part for part in parts if f"`{model_id}`" not in part)


def texts(page: str, tables: Catalog = CATALOG) -> list[str]:
    return [f"{one.model} {one.parameter or '-'} {one.text}" for one in differences(tables, read(page))]


@pytest.mark.parametrize("form", [str, folded, unfolded, with_tables], ids=lambda form: form.__name__)
def test_the_published_page_and_the_shipped_tables_do_not_differ(form: Callable[[str], str]) -> None:
    assert differences(CATALOG, read(form(PAGE))) == []


MUTATIONS = [
    ("Options: 720p, 1080p", "Options: 720p, 1080p, 4k", "resolution options: 720p, 1080p → 720p, 1080p, 4k"),
    ("Options: 720p, 1080p", "Options: 1080p, 720p", "resolution options: 720p, 1080p → 1080p, 720p"),
    ("Options: 2–15", "Options: 3–15", "duration range: 2 to 15 → 3 to 15"),
    ("Options: 2–15", "Options: 5, 10", "duration options: none → 5, 10"),
    ("Options: 2–15. Default: 5", "Options: 2–15. Default: 6", "duration default: 5 → 6"),
    ("Default: false", "Default: true", "enable_prompt_expansion default: false → true"),
    (" Default: false.", "", "enable_prompt_expansion default: false → none"),
    ("Max 2500 characters", "Max 2,000 characters", "prompt max length: 2500 → 2000"),
    (" Max 2500 characters.", "", "prompt max length: 2500 → none"),
    ("`prompt` · string · REQUIRED", "`prompt` · string · optional", "prompt required: true → false"),
    ("`seed` · integer", "`seed` · string", "seed type: integer → string"),
    ("- `seed` · integer", "- `style` · boolean · optional - `seed` · integer", "style a new parameter, optional"),
    ("- `seed` · integer", "- `style` · integer", "seed the parameter is gone"),
    ("Endpoint: POST /v1/video/generations", "Endpoint: POST /v1/c", "- endpoint: /v1/video/generations → /v1/c"),
    ("Family: Centaurus 1.0", "Family: Centaurus 1.1", "- family: Centaurus 1.0 → Centaurus 1.1"),
    ("Output: video", "Output: image", "- output: video → image"),
    ("$0.20/s @ 720p", "$0.21/s @ 720p", "- price: $0.20/second at 720p; $0.30/second at 1080p → $0.21/second at 720p"),
    ("$0.20/s @ 720p", "$0.20 and more", "$0.30/second at 1080p → unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "text"), MUTATIONS, ids=[text for _, _, text in MUTATIONS])
def test_each_kind_of_difference_is_told(old: str, new: str, text: str) -> None:
    found = texts(changed(old, new))
    assert any(f"{FIRST} {text}" in one or (one.startswith(FIRST) and text in one) for one in found), found
    assert all(one.startswith(FIRST) for one in found)


def test_limits_of_pictures_and_of_seeds_are_compared() -> None:
    page = changed("Array of 1–3 addresses", "Array of 2–4 addresses")
    assert texts(page) == ["hera-1.0-image-edit images items: 1 to 3 → 2 to 4"]
    page = changed("BMP, max 10MB", "BMP, max 5MB")
    assert texts(page) == ["centaurus-1.0-image-to-video image max megabytes: 10 → 5"]
    page = changed("JPEG/PNG/WEBP/BMP", "JPEG/PNG")
    assert texts(page) == ["centaurus-1.0-image-to-video image formats: JPEG, PNG, WEBP, BMP → JPEG, PNG"]
    page = changed("-1 (or omit) for random. Default: -1", "0 (or omit) for random. Default: 0")
    assert texts(page) == [
        "zeus-1.0-image-to-video seed default: -1 → 0",
        "zeus-1.0-image-to-video seed random: -1 → 0",
    ]


def test_models_that_are_new_or_gone() -> None:
    assert texts(PAGE + NEW) == [
        "centaurus-2.0-text-to-video - a new model, video, $0.20/second at 720p; $0.30/second at 1080p"
    ]
    assert texts(without_model(LAST)) == [f"{LAST} - the model is gone"]


def test_the_page_of_one_model_says_nothing_of_the_others() -> None:
    page = one_model(PAGE, LAST)
    assert texts(page) == []
    assert texts(changed("$0.40", "$0.45", page)) == [f"{LAST} - price: $0.40/run → $0.45/run"]


def test_words_and_order_are_no_difference() -> None:
    page = changed("What the output should not show.", "Whatever you like.")
    page = changed("Centaurus 1.0 Text to Video", "Another title", page)
    resolution = "- `resolution` · string · optional — How large the output is. Options: 720p, 1080p. Default: 720p. "
    page = changed(resolution, "", page)
    page = changed("Example request body", f"{resolution}Example request body", page)
    assert texts(page) == []


def test_a_price_is_the_same_in_whatever_order_it_is_said() -> None:
    page = changed("$0.20/s @ 720p · $0.30/s @ 1080p", "$0.30/s @ 1080p · $0.20/s @ 720p")
    assert texts(page) == []


# ---- importing ---------------------------------------------------------------------------------------------------

IMPORTED = [PAGE, PAGE + NEW, without_model(LAST), *(changed(old, new) for old, new, _ in MUTATIONS)]


@pytest.mark.parametrize("page", IMPORTED, ids=map(str, range(len(IMPORTED))))
def test_imported_tables_say_what_the_page_says(page: str) -> None:
    tables = imported(read(page), CATALOG)
    again = read_catalog(tables_text(tables))
    assert again == tables
    assert differences(again, read(page)) == []
    assert schema_files(again)


def test_what_the_tables_know_beyond_the_page_is_kept() -> None:
    page = PAGE.replace("What the output should show, in plain language.", "Nonsense.")
    assert imported(read(page), CATALOG).models == CATALOG.models


def test_a_new_model_takes_words_from_parameters_of_the_same_name() -> None:
    page = changed("- `seed` · integer", "- `zoom` · integer · optional — Near. Options: 1–3. - `seed` · integer", NEW)
    model = imported(read(PAGE + page), CATALOG).models["centaurus-2.0-text-to-video"]
    duration, zoom = model.parameter("duration"), model.parameter("zoom")
    assert duration is not None
    assert zoom is not None
    assert (duration.unit, zoom.description) == ("s", "Near.")
    assert price_of(model, {}) == Decimal("1.00")


def test_the_page_of_one_model_changes_that_one_alone() -> None:
    tables = imported(read(changed("$0.40", "$0.45", one_model(PAGE, LAST))), CATALOG)
    assert list(tables.models) == list(CATALOG.models)
    assert price_of(tables.models[LAST], {}) == Decimal("0.45")
    assert {**tables.models, LAST: CATALOG.models[LAST]} == dict(CATALOG.models)


def test_the_version_is_that_of_the_content() -> None:
    version = imported(read(PAGE), CATALOG).version
    assert version == imported(read(folded(PAGE)), CATALOG).version != CATALOG.version
    assert version != imported(read(changed("$0.40", "$0.45")), CATALOG).version


def test_what_makes_several_outputs_is_remembered_where_the_price_cannot_be_read() -> None:
    page = changed("$0.056 / image (× num_images)", "$0.05 to $0.06 / image")
    model = imported(read(page), CATALOG).models["hera-1.0-text-to-image"]
    assert (model.price, model.outputs) == (None, "num_images")
    assert 'price = "unknown"' in tables_text(imported(read(page), CATALOG))


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_written_so_that_it_is_read_again(title: str, description: str) -> None:
    model = replace(CATALOG.models[LAST], title=title, description=description)
    tables = replace(CATALOG, models={LAST: model})
    assert read_catalog(tables_text(tables)).models == tables.models
