"""Golden vectors: where one of these changes, finished work looks new and would be paid for again."""

import pytest

from batchgen.core.digest import canonical_form, canonical_json, digest_of, filled, output_of
from batchgen.manifest.item.ids import derived_seed, fit, generated_id, sample_rank, shard

HERA = {"model": "hera-1.0-text-to-image"}

BODIES = [
    (
        {"prompt": "A tin kettle on a gas ring, first light", "num_images": 3, **HERA},
        '{"model":"hera-1.0-text-to-image","num_images":3,"prompt":"A tin kettle on a gas ring, first light"}',
        "7d9a0b09324308319576b8b38385beae450af4db6f46ba6637845eedf56b8c45",
    ),
    ({}, "{}", "dc74234617f1e56ad14b412b1db2a7fcf706c67cbaf5c6877be70ce5ce05951a"),
    (
        {"b": True, "a": False, "c": [1, "x"]},
        '{"a":false,"b":true,"c":[1,"x"]}',
        "79a2e5de4b9f643b7a3737b937f922c7823e67e3d5e77193a37fdefed12e735e",
    ),
    (
        {"prompt": "Café, 日本, naïve"},
        '{"prompt":"Café, 日本, naïve"}',
        "ef176717cfedabd81d895e420c414b3a6bd0bb6f41cd2dc8c67a1316b9754703",
    ),
    (
        {"prompt": "🎨 \U0010ffff"},
        '{"prompt":"🎨 \U0010ffff"}',
        "b7255e52d065ebd466120dd5a76a0e7d37ec6b72b5ffa0c38c912ff3a75583dc",
    ),
    (
        {"prompt": "a\u2028b\u2029c\x7fd\x85"},
        '{"prompt":"a\u2028b\u2029c\x7fd\x85"}',
        "361f5daeae2ac090ac6beb04b59bc46ad8f06c59062b02299c425153ec244190",
    ),
    (
        {"prompt": 'tab\t "quote" \\ / \n\x00\x1f'},
        '{"prompt":"tab\\t \\"quote\\" \\\\ / \\n\\u0000\\u001f"}',
        "5668fcb7535953961db24ac86f05ede25ebb9eba8e3e9063c59f066c9717ccd5",
    ),
    (
        {"seed": 2**63 - 1, "other": -1},
        '{"other":-1,"seed":9223372036854775807}',
        "03b721b9f3bd6a879f0c9cdde2604236b9189f403855d4d35439bc71680bd112",
    ),
    (
        {"Z": 1, "a": 2, "é": 3, "_": 4},
        '{"Z":1,"_":4,"a":2,"é":3}',
        "a7ef6ac90bacc3bf376655a54263d90975c461f8312c5edfeb73dffd9f99a998",
    ),
]


@pytest.mark.parametrize(("body", "canonical", "digest"), BODIES)
def test_bodies(body: dict[str, object], canonical: str, digest: str) -> None:
    assert canonical_json(body) == canonical
    assert digest_of(canonical) == digest


@pytest.mark.parametrize(("body", "canonical", "digest"), BODIES)
def test_bodies_that_differ_in_some_values(body: dict[str, object], canonical: str, digest: str) -> None:
    varying = [name for name, value in body.items() if type(value) in (str, int)]
    for names in ([], varying[:1], varying[1:], varying):
        others = {name: "100 %s" if name in names else value for name, value in body.items()}
        made = canonical_form(others, names)([body[name] for name in sorted(names)])  # type: ignore[misc]
        assert made == canonical
        assert digest_of(made) == digest
    assert canonical_form({"a": "5 % of %s", "b": 1}, ["b"])([2]) == '{"a":"5 % of %s","b":2}'


def test_the_order_of_keys_is_nothing() -> None:
    assert canonical_json({"a": 1, "b": [{"d": 2, "c": 3}]}) == canonical_json({"b": [{"c": 3, "d": 2}], "a": 1})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_carry_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"seed": number})


DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("prompt", "item_id"),
    [
        ("A Ceramic Mug", "a-ceramic-mug-0123456789"),
        ("A tin kettle on gas, first light, seen from above", "a-tin-kettle-on-gas-first-light-seen-f-0123456789"),
        ("  --Ünïcödé_and.dots--  ", "unicode-and-dots-0123456789"),
        ("ﬁne Å", "fine-a-0123456789"),
        ("日本の庭", "item-0123456789"),
        ("", "item-0123456789"),
        (None, "item-0123456789"),
        ("x" * 3000, "x" * 40 + "-0123456789"),
    ],
)
def test_ids_that_are_made(prompt: object, item_id: str) -> None:
    assert generated_id(prompt, DIGEST) == item_id


@pytest.mark.parametrize(
    ("item_id", "seed"), [("waves~1", 1464300713), ("waves~2", 447683229), ("A.b_c-9~17", 880467169)]
)
def test_seeds_that_are_derived(item_id: str, seed: int) -> None:
    assert derived_seed(item_id) == seed


def test_a_chained_body() -> None:
    body = '{"images":["https://items.invalid/mug/3","https://example.com/a.png"],"prompt":"warmer"}'
    digested = filled(body, {"images/0": output_of(DIGEST, 3)})
    assert digested == (
        f'{{"images":[{{"output":3,"source":"{DIGEST}"}},"https://example.com/a.png"],"prompt":"warmer"}}'
    )
    assert digest_of(digested) == "ef5081901b95a39619fbc0de7a6ac29bf7d9f2be5b79e950ab6250e0d3747d68"
    assert filled(digested, {"images/0": "https://example.com/b.png", "image": "c"}) == (
        '{"image":"c","images":["https://example.com/b.png","https://example.com/a.png"],"prompt":"warmer"}'
    )


def test_the_rank_in_a_sample() -> None:
    assert sample_rank("mug") == 8163519646930437794


@pytest.mark.parametrize(("item_id", "digits"), [("mug", "a1"), ("counter", "ef"), ("waves~1", "fc")])
def test_shards(item_id: str, digits: str) -> None:
    assert shard(item_id) == digits


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("16:9", "16-9"),
        ("AB/12", "AB-12"),
        ("Café au lait", "Cafe-au-lait"),
        ("  a  ", "a"),
        ("a -_. b", "a--_.-b"),
        ("..", ".."),
        ("straße", "stra-e"),
        ("½ ²", "1-2-2"),
        ("日本", ""),
        ("", ""),
    ],
)
def test_texts_made_fit(text: str, fitted: str) -> None:
    assert fit(text) == fitted
