"""Parameter tables other than the shipped ones: `--catalog` and BATCHGEN_CATALOG, in a whole run."""

import csv
import json
import subprocess
from pathlib import Path

import pytest
from support.pages import PAGE, folded
from support.running import COMMAND, ROOT, batchgen, environment, installed

TABLES = """
version = "house-3"
[[models]]
id = "pegasus-2.0-text-to-image"
title = "Pegasus 2.0"
family = "Pegasus 2.0"
endpoint = "/v1/images/generations"
output = "image"
description = "A model that came after this release."
parameters = [
  { name = "prompt", type = "string", required = true, max_length = 50, description = "What to show." },
  { name = "size", type = "string", required = true, options = ["s", "l"], description = "How large it is." },
]
[models.price]
unit = "run"
by = ["size"]
amounts = [{ size = "s", usd = "0.011" }, { size = "l", usd = "0.042" }]
"""
MANIFEST = """
version: 1
name: stable
items:
  - {id: foal, model: pegasus-2.0-text-to-image, prompt: A winged foal, size: l}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tables.toml").write_text(TABLES, encoding="utf-8")
    (tmp_path / "stable.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


def test_a_model_that_this_release_does_not_know_is_bought_from_the_embedded_simulator(folder: Path) -> None:
    unknown = installed("run", "stable.yaml", "--simulate", "--json", cwd=folder)
    assert unknown.returncode == 2
    assert "is not a known model" in unknown.stderr
    tables = str(folder / "tables.toml")
    bought = installed("run", "stable.yaml", "--simulate", "--json", cwd=folder, BATCHGEN_CATALOG=tables)
    assert bought.returncode == 0, bought.stderr
    assert json.loads(bought.stdout)["net_usd"] == "0.042"
    run = folder / "output" / "stable.simulated"
    with (run / "ledger.csv").open(encoding="utf-8", newline="") as ledger:
        (row,) = csv.DictReader(ledger)
    assert (row["model"], row["catalog_version"]) == ("pegasus-2.0-text-to-image", "house-3")
    again = batchgen("run", "stable.yaml", "--simulate", "--json", "--catalog", "tables.toml", cwd=folder)
    assert json.loads(again.stdout)["net_usd"] == "0.042"


def test_every_command_that_knows_models_takes_other_tables(folder: Path) -> None:
    with_tables = ("--catalog", "tables.toml")
    assert "pegasus-2.0-text-to-image" in batchgen("models", *with_tables, cwd=folder).stdout
    assert "0.042 USD" in batchgen("validate", "stable.yaml", *with_tables, cwd=folder).stdout
    assert "$0.042" in batchgen("plan", "stable.yaml", *with_tables, cwd=folder).stdout
    assert batchgen("schema", "--output", "schemas", *with_tables, cwd=folder).returncode == 0
    assert (folder / "schemas" / "models" / "pegasus-2.0-text-to-image.schema.json").is_file()
    assert batchgen("schema", "--output", "schemas", "--check", *with_tables, cwd=folder).returncode == 0
    assert batchgen("schema", "--output", "schemas", "--check", cwd=folder).returncode == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the catalogue tables.toml: No such file or directory"),
        (b"\xff", "tables.toml is not a valid catalogue: 'utf-8' codec can't decode"),
        (b"version =", "tables.toml is not a valid catalogue: Invalid value (at end of document)"),
        (b'version = "1"', "tables.toml is not a valid catalogue: it lists no models"),
        (TABLES.replace('"0.042"', "0.042").encode(), "pegasus-2.0-text-to-image: a price must be a positive amount"),
        (b"#" * 4_000_001, "tables.toml is not a valid catalogue: is larger than 4,000,000 bytes"),
        (b'version = "1"\nmodels = ' + b"[" * 9_000, "tables.toml is not a valid catalogue: "),
    ],
    ids=["missing", "binary", "cut", "empty", "price", "huge", "deep"],
)
@pytest.mark.parametrize("words", [("run", "stable.yaml", "--simulate"), ("simulate",)], ids=["run", "simulate"])
def test_tables_with_a_fault_are_refused_before_anything_happens(
    folder: Path, words: tuple[str, ...], content: bytes | None, message: str
) -> None:
    tables = folder / "tables.toml"
    tables.unlink()
    if content is not None:
        tables.write_bytes(content)
    refused = batchgen(*words, "--catalog", "tables.toml", cwd=folder)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (folder / "output").exists()


# ---- unknown prices ----------------------------------------------------------------------------------------------

UNKNOWN = TABLES.partition("[models.price]")[0] + 'price = "unknown"\n'


@pytest.fixture
def unpriced(folder: Path) -> Path:
    (folder / "tables.toml").write_text(UNKNOWN, encoding="utf-8")
    return folder


def test_an_unknown_price_is_shown_as_unknown_and_never_as_0(unpriced: Path) -> None:
    def shown(*words: str) -> str:
        done = batchgen(*words, "--catalog", "tables.toml", cwd=unpriced)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert shown("models").splitlines()[1].endswith("unknown")
    assert "price     unknown" in shown("models", "pegasus-2.0-text-to-image")
    assert json.loads(shown("models", "pegasus-2.0-text-to-image", "--json"))["model"]["price"] is None
    assert "1 item, estimated unknown" in shown("validate", "stable.yaml")
    (verdict,) = json.loads(shown("validate", "stable.yaml", "--format", "json"))["manifests"]
    assert verdict["estimated_usd"] is None
    text = shown("plan", "stable.yaml", "--items")
    assert "to buy: 1 item for unknown" in text
    plan = json.loads(shown("plan", "stable.yaml", "--items", "--json"))
    assert (plan["new"], plan["estimated_usd"], plan["by_model"][0]["estimated_usd"]) == (1, None, None)
    assert plan["rows"][0]["estimated_usd"] is None
    assert "0.00" not in text


@pytest.mark.parametrize(
    "words",
    [("--max-cost", "5"), ("--budget", "5"), ("--yes",), ("--simulate",), ("--simulate", "--max-cost", "5")],
    ids=" ".join,
)
def test_an_item_of_unknown_price_is_not_bought(unpriced: Path, words: tuple[str, ...]) -> None:
    refused = batchgen("run", "stable.yaml", "--catalog", "tables.toml", *words, cwd=unpriced)
    assert refused.returncode == 2
    assert "the price of pegasus-2.0-text-to-image is unknown, so 1 item cannot be bought" in refused.stderr
    assert not (unpriced / "output").exists()


def test_what_was_bought_stays_when_its_price_is_not_known_any_more(folder: Path) -> None:
    with_tables = ("--catalog", "tables.toml", "--json")
    assert batchgen("run", "stable.yaml", "--simulate", *with_tables, cwd=folder).returncode == 0
    (folder / "tables.toml").write_text(UNKNOWN, encoding="utf-8")
    more = MANIFEST + "  - {id: mare, model: pegasus-2.0-text-to-image, prompt: A winged mare, size: s}\n"
    (folder / "stable.yaml").write_text(more, encoding="utf-8")
    assert batchgen("run", "stable.yaml", "--simulate", *with_tables, cwd=folder).returncode == 2
    rest = batchgen("run", "stable.yaml", "--simulate", "--only", "foal", *with_tables, cwd=folder)
    assert rest.returncode == 0, rest.stderr
    summary = json.loads(rest.stdout)
    assert (summary["done"], summary["net_usd"]) == (1, "0.042")
    plan = json.loads(batchgen("plan", "stable.yaml", "--simulate", *with_tables, cwd=folder).stdout)
    assert (plan["done"], plan["new"], plan["estimated_usd"]) == (1, 1, None)
    (folder / "tables.toml").write_text(TABLES, encoding="utf-8")
    both = batchgen("run", "stable.yaml", "--simulate", *with_tables, cwd=folder)
    assert json.loads(both.stdout)["net_usd"] == "0.053"


# ---- the published reference -------------------------------------------------------------------------------------

NEW_MODEL = """
### Pegasus 3.0 Text to Image
- Model id: `pegasus-3.0-text-to-image`
- Family: Pegasus 3.0
- Endpoint: POST /v1/images/generations
- Output: image
- Pricing: $0.03 (s) · $0.09 (l) / run

| Parameter | Type | Details |
|---|---|---|
| `model` * | string | Which model. Options: "pegasus-3.0-text-to-image". |
| `prompt` * | string | What to show. Max 900 characters. |
| `size` | string | How large it is. Options: s, l. Default: s. |
"""


def test_a_page_is_compared_imported_and_used(folder: Path) -> None:
    (folder / "page.txt").write_text(PAGE + NEW_MODEL, encoding="utf-8")
    compared = installed("catalog", "diff", "page.txt", cwd=folder)
    assert (compared.returncode, compared.stderr) == (1, "")
    line = len(PAGE.splitlines()) + 3
    assert compared.stdout.splitlines() == [
        f"page.txt:{line}:14: pegasus-3.0-text-to-image: a new model, image, $0.03/run at s; $0.09/run at l",
        "1 difference in 8 models",
    ]
    found = json.loads(batchgen("catalog", "diff", "page.txt", "--json", cwd=folder).stdout)
    (one,) = found["differences"]
    assert (one["model"], one["kind"], one["line"]) == ("pegasus-3.0-text-to-image", "added", line)
    assert (found["complete"], found["unknown_prices"]) == (True, [])

    imported = installed("catalog", "import", "page.txt", "--output", "tables", cwd=folder)
    assert imported.returncode == 0, imported.stderr
    assert (folder / "tables" / "schemas" / "models" / "pegasus-3.0-text-to-image.schema.json").is_file()
    assert not list(folder.rglob("*.part"))
    manifest = MANIFEST.replace("pegasus-2.0", "pegasus-3.0")
    (folder / "stable.yaml").write_text(manifest, encoding="utf-8")
    tables = ("--catalog", "tables/tables.toml")
    same = batchgen("catalog", "diff", "page.txt", *tables, cwd=folder)
    assert (same.returncode, same.stdout) == (0, "no difference in 8 models\n")
    bought = installed("run", "stable.yaml", "--simulate", "--json", *tables, cwd=folder)
    assert bought.returncode == 0, bought.stderr
    assert json.loads(bought.stdout)["net_usd"] == "0.09"
    with (folder / "output" / "stable.simulated" / "ledger.csv").open(encoding="utf-8", newline="") as ledger:
        (row,) = csv.DictReader(ledger)
    assert row["catalog_version"].startswith("imported-")
    assert f"version {row['catalog_version']}" in imported.stdout


def test_the_page_comes_from_standard_input_too(folder: Path) -> None:
    done = subprocess.run(
        [COMMAND, "catalog", "diff", "-"], input=folded(PAGE), env=environment(), cwd=folder,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "no difference in 7 models\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PAGE.replace("`seed` · integer", "`seed` · number").encode(), "page.txt:3:801: seed: unknown type 'number'"),
        (b"Sign in to see this page", "page.txt:1:1: no model was found"),
        (b"\xff\xfe", "page.txt is not UTF-8 text (at byte 0)"),
        (b"-" * 1_000_001, "page.txt is larger than 1,000,000 bytes"),
        (None, "cannot read page.txt: No such file or directory"),
    ],
    ids=["type", "other page", "binary", "huge", "missing"],
)
def test_a_page_that_cannot_be_read_changes_nothing(folder: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (folder / "page.txt").write_bytes(content)
    for words in (("diff", "page.txt"), ("import", "page.txt", "--output", "tables")):
        refused = batchgen("catalog", *words, cwd=folder)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert message in refused.stderr
    assert not (folder / "tables").exists()


def test_an_unknown_price_rule_is_told_and_imported_as_unknown(folder: Path) -> None:
    (folder / "page.txt").write_text(PAGE.replace("$0.070 / run", "from $0.05 / run"), encoding="utf-8")
    compared = batchgen("catalog", "diff", "page.txt", cwd=folder)
    assert compared.returncode == 1
    assert "hera-1.0-image-edit: price: $0.07/run → unknown" in compared.stdout
    imported = batchgen("catalog", "import", "page.txt", cwd=folder)
    assert imported.returncode == 0
    assert "hera-1.0-image-edit: the price stays unknown: cannot read 'from $0.05 / run'" in imported.stderr
    shown = batchgen("models", BATCHGEN_CATALOG="catalog/tables.toml", cwd=folder).stdout
    assert next(line for line in shown.splitlines() if "image-edit" in line).endswith("unknown")


def test_the_shipped_tables_are_never_overwritten(folder: Path) -> None:
    (folder / "page.txt").write_text(PAGE + NEW_MODEL, encoding="utf-8")
    shipped = ROOT / "batchgen" / "catalog" / "tables.toml"
    before = shipped.read_bytes()
    refused = batchgen("catalog", "import", "page.txt", "--output", shipped.parent, cwd=folder)
    assert refused.returncode == 2
    assert "are the shipped tables" in refused.stderr
    assert shipped.read_bytes() == before
    assert not (shipped.parent / "schemas").exists()
