"""What is in deploy/ starts what it says, and obeys the exit codes; each engine's own rules judge its form."""

import json
import os
import shlex
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator
from support.running import ROOT

from batchgen.catalog import load_catalog
from batchgen.cli.runs import run
from batchgen.session.request import RunRequest
from batchgen.shards import Shard
from batchgen.standing.exit_codes import EXIT_CODES

DEPLOY = ROOT / "deploy"
ARRAYS = {
    "kubernetes": {"JOB_COMPLETION_INDEX": "2"},
    "aws-batch": {"AWS_BATCH_JOB_ARRAY_INDEX": "2", "AWS_BATCH_JOB_ARRAY_SIZE": "4"},
    "slurm": {
        "SLURM_ARRAY_TASK_ID": "2",
        "SLURM_ARRAY_TASK_COUNT": "4",
        "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_MAX": "3",
    },
}
CODES = {known.code for known in EXIT_CODES} - {0, 10}
"""Those of `run` that are no success; 10 is for `plan`."""
AGAIN = {5, 130}
"""The exit codes after which a start by itself may help; all others need a person, or were the end."""


def job() -> Any:
    return yaml.safe_load((DEPLOY / "kubernetes" / "job.yaml").read_text(encoding="utf-8"))


def batch(name: str) -> dict[str, Any]:
    return dict(json.loads((DEPLOY / "aws-batch" / f"{name}.json").read_text(encoding="utf-8")))


def words_of(engine: str) -> list[str]:
    """The arguments of `batchgen run`."""
    if engine == "kubernetes":
        return list(job()["spec"]["template"]["spec"]["containers"][0]["args"][1:])
    if engine == "aws-batch":
        return list(batch("job-definition")["containerProperties"]["command"][1:])
    script = (DEPLOY / "slurm" / "shards.sbatch").read_text(encoding="utf-8").replace("\\\n", "")
    (line,) = [line for line in script.splitlines() if line.startswith("batchgen run")]
    return shlex.split(line.rstrip("& "))[2:]


@pytest.mark.parametrize("engine", ARRAYS)
def test_the_command_is_one_of_ours_and_is_the_shard_that_the_engine_names(engine: str) -> None:
    options = run.command.make_context("run", words_of(engine)).params
    request = RunRequest.of(Path(options["manifest"]), ARRAYS[engine], load_catalog(), options)
    assert request.shard == Shard(2, 4)
    assert options["max_cost"] is not None, "nobody can be asked"
    assert int(options["concurrency"]) >= 4


def test_an_indexed_job_obeys_the_exit_codes() -> None:
    spec = job()["spec"]
    assert (spec["completionMode"], spec["podReplacementPolicy"]) == ("Indexed", "Failed")
    assert spec["completions"] == spec["parallelism"] == spec["maxFailedIndexes"] == 4
    actions: dict[int, str] = {}
    for rule in spec["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes", {"values": [], "containerName": "batchgen", "operator": "In"})
        assert (codes["containerName"], codes["operator"]) == ("batchgen", "In")
        assert codes["values"] == sorted(set(codes["values"]))
        actions |= dict.fromkeys(codes["values"], rule["action"])
    assert set(actions) == CODES
    assert {code for code, action in actions.items() if action == "Count"} == AGAIN
    assert {code for code, action in actions.items() if action == "FailJob"} == {2}


def test_an_array_of_aws_batch_obeys_the_exit_codes() -> None:
    strategy = batch("job-definition")["retryStrategy"]
    rules = [(rule["onExitCode"], rule["action"]) for rule in strategy["evaluateOnExit"] if "onExitCode" in rule]

    def action(code: int) -> str:
        return next(done for form, done in rules if fnmatchcase(str(code), form))

    assert {code for code in CODES if action(code) == "RETRY"} == AGAIN
    assert len(strategy["evaluateOnExit"]) <= 5, "as many as AWS Batch takes"


@pytest.mark.parametrize(("operation", "name"), [("RegisterJobDefinition", "job-definition"), ("SubmitJob", "job")])
def test_aws_batch_knows_every_field(operation: str, name: str) -> None:
    """By the model of its own client."""
    model = botocore.session.get_session().get_service_model("batch").operation_model(operation)
    report = ParamValidator().validate(batch(name), model.input_shape)
    assert not report.has_errors(), report.generate_report()
    wrong = ParamValidator().validate({**batch(name), "podReplacementPolicy": "Failed"}, model.input_shape)
    assert wrong.has_errors()


def test_kubernetes_knows_every_field() -> None:
    """By the strict schemas that are made of its API's own description."""
    if not os.environ.get("DEPLOY_TESTS"):
        pytest.importorskip("kubernetes_validate")
    import kubernetes_validate

    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(job(), version, strict=True)
    for path, value in ((("spec", "podReplacementPolicies"), "Failed"), (("spec", "completions"), "four")):
        wrong = job()
        wrong[path[0]][path[1]] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, version, strict=True)
