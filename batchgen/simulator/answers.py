"""The API's answers as bytes: jobs in the form of docs/api.md."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web

from batchgen.provider import ProviderJob


class Refusal(Exception):  # noqa: N818 - an answer that ends a handler, not a fault of the program
    """An error answer."""

    def __init__(
        self, status: int, kind: str, message: str, details: object = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.details = details
        self.headers = headers

    def response(self) -> web.Response:
        """Return the answer."""
        error = {"type": self.kind, "message": str(self)}
        if self.details is not None:
            error["details"] = self.details  # type: ignore[assignment]  # the one entry that is not text
        return json_response(self.status, json.dumps({"error": error}), self.headers)


def invalid(path: str, message: str) -> Refusal:
    """Return the 400 for one fault of a request."""
    return Refusal(400, "invalid_request", "The request is invalid.", [{"path": path, "message": message}])


def json_response(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer that carries JSON."""
    return web.Response(
        status=status, body=text.encode(), headers={"Content-Type": "application/json", **(headers or {})}
    )


def html_response(status: int) -> web.Response:
    """Return an HTML page where a program expects something else."""
    page = b"<!doctype html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"
    return web.Response(status=status, body=page, headers={"Content-Type": "text/html; charset=utf-8"})


def iso(moment: float) -> str:
    """Return seconds since the epoch as ISO 8601 with milliseconds and Z."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def job_json(job: ProviderJob, now: float, url: str, *, retention_days: float, cost: Decimal | None, scale: str) -> str:
    """Return a job as the API shows it now; `url` is the API's own address, `cost` the price in the answer.

    `scale` is what its files are smaller by (`batchgen.api.Job.scale`): a field that the API itself does not have.
    """
    status = job.status(now)
    started = f'"{iso(job.started_at)}"' if now >= job.started_at else "null"
    completed = inference = error = "null"
    data = ""
    if status != "processing":
        completed = f'"{iso(job.ends_at)}"'
        inference = str(math.floor((job.ends_at - job.started_at) * 1000))
        if status == "failed":
            error = '"The generation failed at the provider; the charge was refunded."'
        else:
            files = enumerate(job.listed(now))
            data = ",".join(f'{{"url":"{url}{file_path(job.id, n)}"}}' if listed else "{}" for n, listed in files)
    # A price is written in decimal digits: a binary float would sooner or later show 0.30000000000000004.
    named = "" if cost is None else f'"cost_usd":{cost:f},'
    return (
        f'{{"id":"{job.id}","object":"generation","model":"{job.model}","output_kind":"{job.kind}",'
        f'"status":"{status}","created_at":"{iso(job.created_at)}","started_at":{started},'
        f'"completed_at":{completed},"expires_at":"{iso(job.expires_at)}","retention_days":{retention_days:g},'
        f'"error":{error},{named}"simulated_scale":"{scale}","input":{job.body},"timings":{{"inference_ms":{inference}}},'
        f'"urls":{{"get":"{url}/v1/jobs/{job.id}"}},"data":[{data}]}}'
    )


def file_path(job_id: str, output: int) -> str:
    """Return where the API redirects to an output (from 0): without `n` to the first (docs/api.md)."""
    return f"/v1/files/{job_id}" if output == 0 else f"/v1/files/{job_id}?n={output}"
