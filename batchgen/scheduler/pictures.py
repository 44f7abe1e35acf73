"""Local pictures: uploaded before the request that needs them, and sent by addresses that are known to nobody else."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from batchgen.api import Accepted, SubmitAnswer
from batchgen.core.digest import filled
from batchgen.core.errors import StoreError, UsageError
from batchgen.core.text import printable
from batchgen.item_table.pictures import pictures_in
from batchgen.journal import Work
from batchgen.policy.retry import retry_delay
from batchgen.scheduler.chains import AskAgain, LeftPending
from batchgen.scheduler.run_state import RunState, log
from batchgen.store.pictures import PictureChangedError

_TRIES = 5
"""Uploads for one item that failed. After that it is left to the next run."""
_LONGEST_WAIT = 60.0
_SECRET = 12
"""Characters: shorter values of a signed address give nobody access, and may be anything."""
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class SentBody:
    """A body as it is sent. What its addresses give access to must not be written down anywhere."""

    text: str
    addresses: Mapping[str, str]
    """What stands for each picture elsewhere, by the address that was sent."""

    def without_secrets(self, answer: SubmitAnswer) -> SubmitAnswer:
        """Return an answer to it that holds nothing of the addresses: it may repeat the request."""
        if not self.addresses:
            return answer
        secrets = sorted({s for address in self.addresses for s in _secrets_of(address)}, key=len, reverse=True)
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(answer):
            value = getattr(answer, field.name)
            if isinstance(value, str | bytes):
                changes[field.name] = _hidden(value, secrets)
        if isinstance(answer, Accepted) and answer.job.input is not None:
            shown = {name: self._shown(value) for name, value in answer.job.input.items()}
            changes["job"] = dataclasses.replace(answer.job, input=shown)
        return dataclasses.replace(answer, **changes)

    def _shown(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._shown(entry) for entry in value]
        return self.addresses.get(value, value) if isinstance(value, str) else value


def _secrets_of(address: str) -> set[str]:
    query = urlsplit(address).query
    values = {value for _, value in parse_qsl(query)} | {part.partition("=")[2] for part in query.split("&")}
    found = values | {unquote(value) for value in values}
    # The same texts within JSON, whose writers may escape what is between them.
    found |= {json.dumps(value)[1:-1] for value in found}
    found |= {value.replace("/", "\\/") for value in found}
    return {value for value in found if len(value) >= _SECRET}


def _hidden(value: Any, secrets: list[str]) -> Any:
    for secret in secrets:
        if isinstance(value, bytes):
            value = value.replace(secret.encode(), _HIDDEN.encode())
        else:
            value = value.replace(secret, _HIDDEN)
    return value


class Pictures:
    """Gives requests the addresses of their local pictures."""

    def __init__(self, run_state: RunState) -> None:
        self._run_state = run_state
        self._failures: dict[int, int] = {}
        """By item, the uploads that failed."""
        self.left = 0
        """Items that stay pending, since a picture of theirs cannot be sent."""
        self.first_reason = ""
        """Why that is so of the first of them."""

    async def body(self, work: Work) -> SentBody | AskAgain | LeftPending:
        """Return the body that an item is sent with; its pictures are where the provider can fetch them."""
        pictures = pictures_in(work.item.body)
        if not pictures:
            return SentBody(work.item.body, {})
        source = self._run_state.ports.pictures
        if source is None:
            return self._leave(work, "it needs a local picture, and nothing says where to upload it (`run.assets`)")
        places: dict[str, str] = {}
        addresses: dict[str, str] = {}
        try:
            for place, picture in pictures.items():
                address = await source.wait(source.address, picture)
                places[place], addresses[address] = address, picture.stand_in
        except (PictureChangedError, UsageError) as error:
            return self._leave(work, printable(str(error), 500))
        except StoreError as error:
            return self._failed(work, error)
        self._failures.pop(work.key, None)
        return SentBody(filled(work.item.body, places), addresses)

    def _failed(self, work: Work, error: StoreError) -> AskAgain | LeftPending:
        failures = self._failures[work.key] = self._failures.get(work.key, 0) + 1
        if failures >= _TRIES:
            return self._leave(work, f"its picture cannot be uploaded: {printable(str(error), 500)}")
        log.warning("%s: its picture: %s", work.item.id, printable(str(error), 500))
        return AskAgain(retry_delay(failures, self._run_state.ports.random.random(), None, cap=_LONGEST_WAIT))

    def _leave(self, work: Work, reason: str) -> LeftPending:
        self._failures.pop(work.key, None)
        self.left += 1
        self.first_reason = self.first_reason or f"{work.item.id}: {reason}"
        log.warning("%s stays pending: %s", work.item.id, reason)
        return LeftPending()
