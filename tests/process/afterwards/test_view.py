"""`batchgen view` as a process: what it prints, and how it ends."""

import http.cookiejar
import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support.running import environment
from support.viewing import run_folder

COMMAND = [sys.executable, "-m", "batchgen", "view"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_serves_and_stops_while_a_page_listens(tmp_path: Path, number: signal.Signals) -> None:
    folder = run_folder(tmp_path)
    with subprocess.Popen(
        [*COMMAND, str(folder), "--port", "0"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().rstrip("\n")
            assert address.startswith("http://127.0.0.1:"), process.stderr and process.stderr.read()
            url, _, _ = address.partition("?token=")
            jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
            browser = urllib.request.build_opener(jar)
            assert b"<title>spring</title>" in browser.open(address, timeout=60).read()
            assert json.load(browser.open(f"{url}api/overview", timeout=60))["run"] == "spring"
            events = browser.open(f"{url}api/events", timeout=60)
            assert events.readline() == b"retry: 2000\n"
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
            events.close()
        finally:
            if process.poll() is None:
                process.kill()
    assert (process.returncode, output, errors) == (0, "", "showing spring; Ctrl-C stops it\n")


def test_a_viewer_for_other_machines_warns(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    with subprocess.Popen(
        [*COMMAND, str(folder), "--port", "0", "--host", "::"], env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                pytest.skip("there is no IPv6 here")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
    assert errors.startswith("warning: other machines can reach this viewer.")
