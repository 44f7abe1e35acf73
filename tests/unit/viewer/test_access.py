"""Who may ask the viewer, decided from headers alone."""

import pytest

from batchgen.viewer.access import Access, Refusal, is_loopback

HOST = "127.0.0.1:8019"


@pytest.fixture
def access() -> Access:
    return Access("127.0.0.1", 8019)


def cookies(access: Access) -> dict[str, str]:
    return {access.cookie: access.session}


@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "localhost:9000", "LOCALHOST:1", "[::1]:8019", "127.9.9.9:8019"])
def test_names_of_this_machine_are_answered_also_through_a_tunnel(access: Access, host: str) -> None:
    assert access.check_name([host]) == host


@pytest.mark.parametrize(
    "hosts",
    [
        [], [""], [HOST, HOST], ["evil.example:8019"], ["127.0.0.1.evil.example"], ["localhost.evil.example"],
        ["10.0.0.5:8019"], ["0.0.0.0:8019"], ["127.0.0.1:8019/x"], ["user@127.0.0.1"], ["127.1:8019"], ["2130706433"],
        ["127.0.0.1:8019\n"], ["[::ffff:10.0.0.5]:1"],
    ],
)  # fmt: skip
def test_names_that_may_point_here_from_elsewhere_are_refused(access: Access, hosts: list[str]) -> None:
    with pytest.raises(Refusal) as refused:
        access.check_name(hosts)
    assert refused.value.status == 421


def test_a_viewer_for_others_is_known_by_addresses_and_by_its_own_names_alone() -> None:
    access = Access("::", 8019)
    assert access.check_name(["10.0.0.5:8019"])
    assert Access("studio.example", 8019).check_name(["Studio.example:8019"])
    with pytest.raises(Refusal):
        access.check_name(["evil.example:8019"])


def test_the_token_opens_it_again_and_again_and_a_ticket_once(access: Access) -> None:
    ticket = access.ticket()
    assert access.opens(access.token)
    assert access.opens(access.token)
    assert access.opens(ticket)
    assert not access.opens(ticket)
    assert not any(map(access.opens, ("", "é", access.session, access.token[:-1], access.token + "x")))
    assert len(access.token) == len(access.session) == 43  # 256 bits in base64
    assert len({access.token, access.session, ticket, Access("127.0.0.1", 8019).token}) == 4


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("site", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_the_page_may_read(access: Access, method: str, site: dict[str, str]) -> None:
    access.check(method, HOST, site, cookies(access))


def test_a_post_names_its_origin(access: Access) -> None:
    access.check("POST", HOST, {"Origin": f"http://{HOST}"}, cookies(access))
    for headers in ({}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9"}, {"Origin": f"https://{HOST}"}):
        with pytest.raises(Refusal) as refused:
            access.check("POST", HOST, headers, cookies(access))
        assert refused.value.status == 403


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
    ids=str,
)
def test_other_sites_may_not_even_read(access: Access, headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        access.check("GET", HOST, headers, cookies(access))
    assert refused.value.status == 403


@pytest.mark.parametrize("value", ["", "x", "é"])
def test_without_the_cookie_nothing_is_answered(access: Access, value: str) -> None:
    others = {"batchgen-1": access.session, access.cookie: value}
    for given in ({}, others):
        with pytest.raises(Refusal) as refused:
            access.check("GET", HOST, {}, given)
        assert refused.value.status == 401


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.5.5.5", "::1", "localhost", "LocalHost")))
    assert not any(map(is_loopback, ("::", "192.168.1.2", "studio.example", "")))
