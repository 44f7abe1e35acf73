"""Prices against values worked out by hand from what the provider publishes."""

from decimal import Decimal
from typing import Any

import pytest

from batchgen.catalog import load_catalog, outputs_of, price_key, price_of, reproducible

MODELS = load_catalog().models


@pytest.mark.parametrize(
    ("model", "body", "usd"),
    [
        ("centaurus-1.0-text-to-video", {}, "1.00"),  # 720p, 5 s
        ("centaurus-1.0-text-to-video", {"duration": 2}, "0.40"),
        ("centaurus-1.0-text-to-video", {"resolution": "1080p"}, "1.50"),
        ("centaurus-1.0-text-to-video", {"resolution": "1080p", "duration": 15}, "4.50"),
        ("centaurus-1.0-text-to-video", {"resolution": "720p", "duration": 7}, "1.40"),
        ("centaurus-1.0-image-to-video", {}, "1.40"),
        ("centaurus-1.0-image-to-video", {"duration": 3}, "0.84"),
        ("centaurus-1.0-image-to-video", {"resolution": "1080p", "duration": 15}, "8.40"),
        ("hera-1.0-image-to-video", {}, "1.00"),
        ("hera-1.0-image-to-video", {"duration": 10}, "2.00"),
        ("hera-1.0-image-to-video", {"resolution": "1080p", "duration": 15}, "4.50"),
        ("hera-1.0-image-edit", {}, "0.07"),
        ("hera-1.0-image-edit", {"images": ["https://a.example/1", "https://a.example/2"]}, "0.07"),
        ("hera-1.0-text-to-image", {}, "0.056"),
        ("hera-1.0-text-to-image", {"num_images": 9}, "0.504"),
        ("hera-1.0-text-to-image", {"num_images": 3, "resolution": "2k"}, "0.168"),
        ("zeus-1.0-image-to-video", {}, "0.30"),
        ("zeus-1.0-image-to-video", {"duration": 8}, "0.48"),
        ("zeus-1.0-image-to-video", {"resolution": "720p"}, "0.60"),
        ("zeus-1.0-image-to-video", {"resolution": "720p", "duration": 8}, "0.96"),
        ("zeus-1.0-image-to-video-480p", {}, "0.40"),
        ("zeus-1.0-image-to-video-480p", {"duration": 5}, "0.40"),
    ],
)
def test_price(model: str, body: dict[str, Any], usd: str) -> None:
    price = price_of(MODELS[model], body)
    assert isinstance(price, Decimal)
    assert price == Decimal(usd)


def test_every_model_has_a_price_above() -> None:
    assert set(MODELS) == {mark[0] for mark in test_price.pytestmark[0].args[1]}


@pytest.mark.parametrize(
    ("model", "body", "outputs"),
    [
        ("hera-1.0-text-to-image", {}, 1),
        ("hera-1.0-text-to-image", {"num_images": 9}, 9),
        ("hera-1.0-image-edit", {"images": ["https://a.example/1", "https://a.example/2"]}, 1),
        ("zeus-1.0-image-to-video", {"duration": 8}, 1),
    ],
)
def test_outputs(model: str, body: dict[str, Any], outputs: int) -> None:
    assert outputs_of(MODELS[model], body) == outputs


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        ("hera-1.0-text-to-image", {}, False),  # has no seed at all
        ("hera-1.0-image-edit", {}, False),
        ("hera-1.0-image-edit", {"seed": -1}, True),  # only the zeus models give -1 a meaning of its own
        ("hera-1.0-image-edit", {"seed": 0}, True),
        ("zeus-1.0-image-to-video", {}, False),
        ("zeus-1.0-image-to-video", {"seed": -1}, False),
        ("zeus-1.0-image-to-video", {"seed": 0}, True),
    ],
)
def test_reproducible(model: str, body: dict[str, Any], *, expected: bool) -> None:
    assert reproducible(MODELS[model], body) is expected


@pytest.mark.parametrize(
    ("model", "body", "key"),
    [
        ("hera-1.0-text-to-image", {}, "hera-1.0-text-to-image num_images=1"),
        ("hera-1.0-text-to-image", {"num_images": 3, "resolution": "2k"}, "hera-1.0-text-to-image num_images=3"),
        ("hera-1.0-image-edit", {"seed": 5}, "hera-1.0-image-edit"),
        (
            "centaurus-1.0-text-to-video",
            {"resolution": "1080p"},
            "centaurus-1.0-text-to-video resolution=1080p duration=5",
        ),
    ],
)
def test_a_price_key_names_what_prices_a_request_with_defaults_filled_in(
    model: str, body: dict[str, Any], key: str
) -> None:
    assert price_key(MODELS[model], body) == key
