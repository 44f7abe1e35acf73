"""The simulator's books and traffic, for tests and for inspection. Not part of the API; needs no key."""

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from batchgen.core.version import __version__
from batchgen.provider import Account, Books, ProviderJob
from batchgen.simulator.answers import Refusal, invalid, iso, json_response

PREFIX = "/_simulator/"
_BATCH = 200


class Admin:
    """Answers below `/_simulator/`."""

    def __init__(self, books: Books, requests: Counter[tuple[str, str]], *, unmarked: bool) -> None:
        """`requests` counts answers by endpoint and status; `unmarked` hides that this is a simulator."""
        self._unmarked = unmarked
        self._books = books
        self._requests = requests

    async def serve(self, request: web.BaseRequest, now: float) -> web.StreamResponse:
        """Answer one request; raises Refusal."""
        path, _, query = request.raw_path.partition("?")
        wanted = parse_qs(query).get("account", [None])[-1]
        match request.method, path.removeprefix(PREFIX):
            case "GET", "" if not self._unmarked:
                return json_response(200, json.dumps({"simulator": "batchgen", "version": __version__}))
            case "GET", "account":
                return self._totals(wanted, now)
            case "GET", "jobs":
                return await self._jobs(request, wanted, now)
            case "GET", "requests":
                counts = [{"endpoint": e, "status": s, "count": n} for (e, s), n in sorted(self._requests.items())]
                return json_response(200, json.dumps({"requests": counts}))
            case "POST", "balance":
                return self._top_up(await request.read(), wanted, now)
            case _:
                raise Refusal(404, "not_found", "There is no such page.")

    def _chosen(self, wanted: str | None) -> list[Account]:
        if wanted is None:
            return list(self._books.accounts.values())
        if wanted not in self._books.accounts:
            raise Refusal(404, "not_found", "There is no such account.")
        return [self._books.accounts[wanted]]

    def _totals(self, wanted: str | None, now: float) -> web.Response:
        chosen = self._chosen(wanted)
        each = {account.id: self._books.totals(now, [account]).as_json() for account in chosen}
        return json_response(200, json.dumps({**self._books.totals(now, chosen).as_json(), "accounts": each}))

    async def _jobs(self, request: web.BaseRequest, wanted: str | None, now: float) -> web.StreamResponse:
        self._books.settle(now)
        chosen = [job for job in self._books.jobs.values() if wanted in (None, job.account)]
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        await answer.write(b'{"jobs": [')
        for start in range(0, len(chosen), _BATCH):
            rows = ",\n".join(json.dumps(self._row(job, now)) for job in chosen[start : start + _BATCH])
            await answer.write((",\n" if start else "").encode() + rows.encode())
        await answer.write(b"]}")
        return answer

    def _row(self, job: ProviderJob, now: float) -> dict[str, Any]:
        status = job.status(now)
        return {
            "number": job.number,
            "id": job.id,
            "account": job.account,
            "model": job.model,
            "body": job.body,
            "digest": job.digest,
            "acceptance": job.acceptance,
            "state": status,
            "cost": format(job.cost, "f"),
            "refunded": format(job.refund(now), "f"),
            "created_at": iso(job.created_at),
            "started_at": iso(job.started_at),
            "completed_at": None if status == "processing" else iso(job.ends_at),
            "expires_at": iso(job.expires_at),
            "outputs": job.outputs,
            "polls": self._books.polls[job.id],
            "faults": sorted(job.faults),
        }

    def _top_up(self, raw: bytes, wanted: str | None, now: float) -> web.Response:
        try:
            given = json.loads(raw)
            paid, promo = (Decimal(given.get(name, "0")) for name in ("paid", "promo"))
        except (ValueError, TypeError, AttributeError, InvalidOperation) as error:
            raise invalid("", 'the body is {"paid": "10.00", "promo": "0"}, amounts as strings') from error
        if not (paid.is_finite() and promo.is_finite()):
            raise invalid("", "amounts are finite")
        chosen = self._chosen(wanted)
        if not chosen:
            raise Refusal(409, "no_account", "No account exists yet: each opens with its key's first request.")
        for account in chosen:
            self._books.top_up(account, paid, promo)
        return self._totals(wanted, now)
