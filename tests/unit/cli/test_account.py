"""Where the key may go: a run folder that comes from somebody else does not decide it."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from support.bought import Buyer, item, journal_of

from batchgen.cli.access import access_of
from batchgen.cli.options import connection_options
from batchgen.cli.runs import collect, resolve, verify
from batchgen.core.credentials import ApiKey
from batchgen.core.errors import RunFolderError, UsageError
from batchgen.journal import SIMULATOR
from batchgen.session.connection.account import Access
from batchgen.session.host import Host
from batchgen.session.open_run import OpenRun
from batchgen.session.run_folder import noted_settings
from batchgen.settings import resolve_settings

KEY = "api18_0123456789abcdef"
FOREIGN = "https://api18.example.net"
LOCAL = "http://127.0.0.1:8018"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API18_KEY", KEY)
    monkeypatch.delenv("BATCHGEN_BASE_URL", raising=False)


def access(base_url: str | None = None) -> Access:
    return Access(find_key=lambda: ApiKey(KEY), base_url=base_url)


def address(recorded: str | None, base_url: str | None = None) -> str | None:
    facts = {"api": recorded} if recorded else {}
    return access(base_url).account_of(facts).base_url


@pytest.mark.parametrize("recorded", ["https://api18.dev", LOCAL, "http://localhost:1", "http://[::1]:1/v2"])
def test_the_providers_own_address_and_this_machine_need_no_word(recorded: str) -> None:
    assert address(recorded) == recorded
    assert address(None) == "https://api18.dev"
    assert address(SIMULATOR) is None


@pytest.mark.parametrize(
    "recorded",
    [FOREIGN, "https://api18.dev.example.net", "https://api18.dev:444", "https://api18.dev/x", "https://8.8.8.8"],
)
def test_any_other_address_is_confirmed_or_refused(recorded: str) -> None:
    with pytest.raises(
        UsageError, match="which is not the provider's own address; to send your key there, give --base-url"
    ) as refused:
        address(recorded)
    assert str(refused.value).endswith(f"give --base-url {recorded}")
    for other in ("https://api18.dev", LOCAL, "https://api18.example.com"):
        assert address(recorded, other) == other, "which the run folder then refuses"
    assert address(recorded, recorded) == recorded
    assert address(recorded, f"{recorded}/") == recorded


def test_an_address_that_is_none_is_refused() -> None:
    for recorded in ("http://example.net", "https://api18.dev@example.net", "", "simulator.example.net"):
        with pytest.raises(UsageError):
            access().account_of({"api": recorded})


def in_doubt_and_damaged(folder: Path, api: str) -> Path:
    with journal_of(folder, [item("mug"), item("jug")]) as journal:
        journal.note(api=api, account=ApiKey(KEY).fingerprint)
        buyer = Buyer(journal)
        buyer.doubt("mug", "no answer")
        buyer.done("jug")
    return folder


COMMANDS: tuple[tuple[click.Command, tuple[str, ...]], ...] = (
    (collect.command, ()),
    (resolve.command, ("mug", "--job-id", "job-1")),
    (verify.command, ("--refetch",)),
)


@pytest.fixture
def no_api(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the key would have gone to."""
    asked: list[str] = []

    class Asked(Exception):  # noqa: N818 - no error
        pass

    def api(url: str, key: str, **_: object) -> None:
        assert key == KEY
        asked.append(url)
        raise Asked

    for place in ("batchgen.session.connection.account.connect_later", "batchgen.session.execution.connect_later"):
        monkeypatch.setattr(place, api)
    return asked


@pytest.mark.parametrize(("command", "arguments"), COMMANDS, ids=("collect", "resolve", "verify"))
def test_no_command_sends_the_key_where_a_folder_says(
    tmp_path: Path, no_api: list[str], command: click.Command, arguments: tuple[str, ...]
) -> None:
    def asked(api: str, *more: str, **variables: str) -> tuple[Result, list[str]]:
        no_api.clear()
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        in_doubt_and_damaged(folder, api)
        result = CliRunner().invoke(command, [str(folder), *arguments, *more], standalone_mode=False, env=variables)
        return result, no_api

    result, urls = asked(FOREIGN)
    assert isinstance(result.exception, UsageError), result.exception
    assert not urls
    for elsewhere in (asked(FOREIGN, BATCHGEN_BASE_URL=LOCAL), asked(FOREIGN, "--base-url", "https://api18.dev")):
        assert isinstance(elsewhere[0].exception, RunFolderError), elsewhere[0].exception
        assert not elsewhere[1]
    for confirmed in (asked(FOREIGN, "--base-url", FOREIGN), asked(FOREIGN, BATCHGEN_BASE_URL=FOREIGN)):
        assert confirmed[1] == [FOREIGN], confirmed[0].exception
    assert asked(LOCAL)[1] == [LOCAL]
    result, urls = asked(LOCAL, "--base-url", FOREIGN)
    assert isinstance(result.exception, RunFolderError), result.exception
    assert not urls


def test_a_typed_address_does_not_go_with_simulated_money() -> None:
    @click.command
    @connection_options
    def command(**options: object) -> str | None:
        return access_of(options, Path("m.yaml")).account(simulate=True).base_url

    def invoked(*arguments: str, **variables: str) -> Result:
        return CliRunner().invoke(command, arguments, standalone_mode=False, env=variables)

    assert isinstance(invoked("--base-url", LOCAL).exception, UsageError)
    assert invoked().exception is None
    assert invoked(BATCHGEN_BASE_URL=LOCAL).exception is None


def test_collect_takes_the_manifests_settings_but_no_limits_of_buying() -> None:
    noted = '{"job_timeout": "900", "downloads": "3", "poll_min": "0.5", "max_cost": "1.50", "budget": "1",'
    noted += ' "max_new": "0", "max_failures": "1", "max_flagged": "1", "of_a_newer_release": "x"}'
    settings = resolve_settings({"poll_max": "7"}, {"BATCHGEN_DOWNLOADS": "4"}, noted_settings({"settings": noted}))
    assert (settings.job_timeout, settings.poll_min) == (900.0, 0.5)
    assert (settings.poll_max, settings.downloads) == (7.0, 4), "flag and variable win"
    assert (settings.max_cost, settings.budget, settings.max_new, settings.max_failures, settings.max_flagged) == (
        None,
    ) * 5
    assert noted_settings({}) == {}


@pytest.mark.parametrize("noted", ["", "[]", "{", '{"drain": "soon"}', '{"drain": null}'])
def test_settings_that_cannot_be_read_are_damage(noted: str) -> None:
    with pytest.raises(RunFolderError, match="settings in the run folder's journal"):
        noted_settings({"settings": noted})


def test_collect_runs_with_the_noted_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = in_doubt_and_damaged(tmp_path / "run", LOCAL)
    with journal_of(folder, [item("mug")]) as journal:
        journal.note(api=LOCAL, account=ApiKey(KEY).fingerprint, settings='{"drain": "12.5"}')
    seen: list[float] = []

    class Seen(Exception):  # noqa: N818 - no error
        pass

    def execute(run: OpenRun, _: Host) -> None:
        seen.append(run.settings.drain)
        raise Seen

    monkeypatch.setattr("batchgen.session.session.execute", execute)
    CliRunner().invoke(collect.command, [str(folder)], standalone_mode=False)
    assert seen == [12.5]
