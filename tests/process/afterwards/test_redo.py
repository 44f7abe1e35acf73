"""`batchgen redo`, from a run to the run of its redo, against the simulator."""

import json
from pathlib import Path

from support.running import FAST, batchgen, simulator, summary_of

MANIFEST = """\
version: 1
name: spring
run: {path: "${tags.client}/${id}"}
tags: {client: acme}
items:
  - {id: mug, model: hera-1.0-text-to-image, prompt: "A mug, ${tags.client}"}
  - {id: sea, model: centaurus-1.0-text-to-video, prompt: "Costs $${5}", seed: 7}
  - {id: jug, model: hera-1.0-text-to-image, prompt: A jug}
  - {id: spin, model: hera-1.0-image-to-video, image: "${items.jug.output}", prompt: It turns}
"""


def test_what_was_rejected_is_planned_bought_and_redone_once_more(tmp_path: Path) -> None:
    (tmp_path / "spring.yaml").write_text(MANIFEST, encoding="utf-8")
    with simulator("--speed", "1000", "--media", "tiny") as api:
        ran = batchgen("run", "spring.yaml", "--base-url", api.url, *FAST, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        nothing = batchgen("redo", "spring", "--rejected", cwd=tmp_path)
        assert (nothing.returncode, nothing.stdout) == (2, "")
        assert "nothing to redo in spring" in nothing.stderr
        picks = ("--reject", "mug", "--reject", "sea", "--keep", "jug")
        assert batchgen("picks", "spring", *picks, cwd=tmp_path).returncode == 0
        redone = batchgen("redo", "spring", "--rejected", cwd=tmp_path)
        assert redone.returncode == 0, redone.stderr
        assert "spring-redo-1: 2 items of spring, to be bought once more" in redone.stderr
        assert "hera-1.0-text-to-image has no seed: the requests of 1 item are the same as before" in redone.stderr
        (tmp_path / "redo.yaml").write_text(redone.stdout, encoding="utf-8")
        plan = json.loads(batchgen("plan", "redo.yaml", "--json", cwd=tmp_path).stdout)
        assert (plan["name"], plan["items"], plan["new"]) == ("spring-redo-1", 2, 2)
        again = batchgen("run", "redo.yaml", "--base-url", api.url, *FAST, cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert summary_of(again)["done"] == 2
        assert (tmp_path / "output" / "spring-redo-1" / "files" / "acme" / "mug.r1.png").exists()
        bodies = [json.loads(job["body"]) for job in api.jobs()]
        assert len(bodies) == 6
        seas = [body for body in bodies if body["prompt"] == "Costs ${5}"]
        assert [body["seed"] == 7 for body in seas] == [True, False]
        assert sum(body["prompt"] == "A mug, acme" for body in bodies) == 2
        # Once more: a redo of the redo, and one of an item whose source was kept.
        assert batchgen("picks", "spring-redo-1", "--reject", "sea.r1", cwd=tmp_path).returncode == 0
        third = batchgen("redo", "spring-redo-1", "--rejected", cwd=tmp_path)
        assert "name: spring-redo-2\n" in third.stdout
        assert '  - id: "sea.r2"\n    redo_of: {"run": "spring-redo-1", "item": "sea.r1"}\n' in third.stdout
        assert batchgen("picks", "spring", "--reject", "spin", cwd=tmp_path).returncode == 0
        chained = batchgen("redo", "spring", "--rejected", "--only", "spin", cwd=tmp_path)
        assert (chained.returncode, chained.stdout) == (2, "")
        assert "spin needs jug" in chained.stderr
        along = batchgen("redo", "spring", "--rejected", "--only", "spin", "--with-sources", cwd=tmp_path)
        assert '    image: "${items.jug.r2.output.1}"\n' in along.stdout
        assert "1 item of these come along as sources" in along.stderr


def test_what_to_redo_must_be_said(tmp_path: Path) -> None:
    result = batchgen("redo", "spring", cwd=tmp_path)
    assert result.returncode == 2
    assert "--rejected, --flagged or both" in result.stderr


def test_what_was_flagged_is_redone_unless_it_was_kept(tmp_path: Path) -> None:
    items = "".join(f"  - {{id: mug-{n}, model: hera-1.0-text-to-image, prompt: Mug {n}}}\n" for n in range(3))
    (tmp_path / "mugs.yaml").write_text(f"version: 1\nname: mugs\nitems:\n{items}", encoding="utf-8")
    with simulator("--speed", "1000", "--fault", "small=1") as api:
        ran = batchgen("run", "mugs.yaml", "--base-url", api.url, *FAST, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert batchgen("picks", "mugs", "--keep", "mug-1", cwd=tmp_path).returncode == 0
        redone = batchgen("redo", "mugs", "--flagged", cwd=tmp_path)
        assert redone.returncode == 0, redone.stderr
        assert "mugs-redo-1: 2 items of mugs, to be bought once more" in redone.stderr
        (tmp_path / "redo.yaml").write_text(redone.stdout, encoding="utf-8")
        again = batchgen("run", "redo.yaml", "--base-url", api.url, *FAST, cwd=tmp_path)
        assert (again.returncode, summary_of(again)["done"]) == (0, 2), again.stderr
        bodies = [json.loads(job["body"])["prompt"] for job in api.jobs()]
        assert sorted(bodies) == ["Mug 0", "Mug 0", "Mug 1", "Mug 2", "Mug 2"]
