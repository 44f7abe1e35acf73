"""What an answer tells of the server's clock."""

from datetime import UTC, datetime, timedelta

import pytest
from support.rawserver import answering, http, raw_server

from batchgen.client.answers import clock_offset
from batchgen.client.http import HttpApi

ASKED = datetime(2026, 2, 1, 12, 0, 0, tzinfo=UTC)
ANSWERED = ASKED + timedelta(seconds=2)
DATE = "Sun, 01 Feb 2026 13:00:02 GMT"


@pytest.mark.parametrize(
    ("headers", "offset"),
    [
        ({"Date": DATE}, timedelta(hours=1)),
        ({"Date": "Sunday, 01-Feb-26 13:00:02 GMT"}, timedelta(hours=1)),
        ({"Date": "Sun, 01 Feb 2026 11:00:02 GMT"}, timedelta(hours=-1)),
        ({"Date": DATE, "Age": "3600"}, None),
        ({"Date": "yesterday"}, None),
        ({"Date": ""}, None),
        ({"Date": "Sun, 01 Feb 99999 13:00:02 GMT"}, None),
        ({}, None),
    ],
)
def test_the_date_of_an_answer(headers: dict[str, str], offset: timedelta | None) -> None:
    assert clock_offset(headers, ASKED, ANSWERED) == offset


@pytest.mark.parametrize("took", [timedelta(minutes=10), timedelta(hours=-3)])
def test_an_answer_that_took_long_or_over_which_our_clock_was_set_says_nothing(took: timedelta) -> None:
    # The program may have stood still, or the computer asleep, between the answer and its reading.
    assert clock_offset({"Date": DATE}, ASKED, ASKED + took) is None


@pytest.mark.parametrize("submits", [True, False])
async def test_polls_and_submissions_compare_clocks(submits: bool) -> None:
    answers = http(200, b'{"id": "job-1"}', f"Date: {DATE}"), http(503, b"")
    async with raw_server(answering(*answers)) as server:
        api = HttpApi(server.url, "api18_canary0123456789", now=lambda: ANSWERED)
        try:
            assert api.clock_offset is None
            for _ in answers:
                await (api.submit("{}", "/v1/generate", wait=False) if submits else api.poll("job-1"))
                assert api.clock_offset == timedelta(hours=1)
        finally:
            await api.aclose()


async def test_a_download_from_the_api_compares_clocks() -> None:
    async with raw_server(answering(http(200, b"x", f"Date: {DATE}"))) as server:
        api = HttpApi(server.url, "api18_canary0123456789", now=lambda: ANSWERED)
        try:
            async with api.open_output(f"{server.url}/v1/files/job-1"):
                assert api.clock_offset == timedelta(hours=1)
        finally:
            await api.aclose()
