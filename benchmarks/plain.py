"""The script that a competent user would write for one night: plain aiohttp, stock parts, a task for each item.

It reads the manifest with CSafeLoader, checks each body with one prebuilt jsonschema validator, keeps as many jobs in
flight as its semaphore allows, commits three rows for each item (intent, acceptance, file), polls at a fixed interval,
and writes each file beside its place, hashed, and a line of a CSV ledger. It does less than batchgen: no caps, no
states, no located messages.
"""

import argparse
import asyncio
import csv
import hashlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import yaml

MODEL = "hera-1.0-text-to-image"
ROWS = """
CREATE TABLE item (id TEXT PRIMARY KEY, body TEXT, state TEXT, job_id TEXT, cost TEXT, path TEXT, sha256 TEXT)
"""


class Script:
    """One run."""

    def __init__(self, base: str, folder: Path, interval: float, at_once: int) -> None:
        self._base = base
        self._folder = folder
        self._interval = interval
        self._slots = asyncio.Semaphore(at_once)
        self._db = sqlite3.connect(folder / "plain.sqlite3")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(ROWS)
        self._lines = (folder / "ledger.csv").open("w", encoding="utf-8", newline="")
        self._ledger = csv.writer(self._lines)

    def close(self) -> None:
        """Close what is open."""
        self._db.close()
        self._lines.close()

    async def run(self, items: list[dict[str, Any]]) -> None:
        """Buy all items."""
        headers = {"Authorization": f"Bearer {os.environ['API18_KEY']}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            await asyncio.gather(*(self._item(session, item) for item in items))

    async def _item(self, session: aiohttp.ClientSession, item: dict[str, Any]) -> None:
        async with self._slots:
            item_id = item["id"]
            body = {name: value for name, value in item.items() if name not in ("id", "tags")}
            self._commit("INSERT INTO item (id, body, state) VALUES (?, ?, 'sent')", item_id, json.dumps(body))
            async with session.post(f"{self._base}/v1/generate", json=body) as response:
                response.raise_for_status()
                job = await response.json()
            self._commit(
                "UPDATE item SET state = 'accepted', job_id = ?, cost = ? WHERE id = ?",
                job["id"], str(job["cost_usd"]), item_id,
            )  # fmt: skip
            while job["status"] == "processing":
                await asyncio.sleep(self._interval)
                async with session.get(f"{self._base}/v1/jobs/{job['id']}") as response:
                    response.raise_for_status()
                    job = await response.json()
        path, sha256 = await self._download(session, job["data"][0]["url"], item_id)
        self._ledger.writerow([item_id, body["model"], body["prompt"], job["id"], job["cost_usd"], path, sha256])
        self._commit("UPDATE item SET state = 'done', path = ?, sha256 = ? WHERE id = ?", str(path), sha256, item_id)

    async def _download(self, session: aiohttp.ClientSession, url: str, item_id: str) -> tuple[Path, str]:
        path = self._folder / f"{item_id}.png"
        part = path.with_suffix(".part")
        digest = hashlib.sha256()
        async with session.get(url) as response:
            response.raise_for_status()
            with part.open("wb") as file:
                async for chunk in response.content.iter_chunked(65536):
                    file.write(chunk)
                    digest.update(chunk)
                file.flush()
                os.fsync(file.fileno())
        part.rename(path)
        return path, digest.hexdigest()

    def _commit(self, statement: str, *values: object) -> None:
        with self._db:
            self._db.execute(statement, values)


def read(manifest: Path, schema: Path) -> list[dict[str, Any]]:
    """Return the items of a manifest, checked."""
    with manifest.open(encoding="utf-8") as file:
        document = yaml.load(file, yaml.CSafeLoader)
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    items = [{**document["defaults"], **item} for item in document["items"]]
    for item in items:
        validator.validate({name: value for name, value in item.items() if name not in ("id", "tags")})
    return items


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("schema", type=Path)
    parser.add_argument("base")
    parser.add_argument("folder", type=Path)
    parser.add_argument("interval", type=float)
    parser.add_argument("at_once", type=int)
    given = parser.parse_args()

    async def buy() -> None:
        script = Script(given.base, given.folder, given.interval, given.at_once)
        await script.run(read(given.manifest, given.schema))
        script.close()

    asyncio.run(buy())


if __name__ == "__main__":
    main()
