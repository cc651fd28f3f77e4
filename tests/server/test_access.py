"""Which token opens what, and from where nobody needs one."""

import pytest
from aiohttp.test_utils import make_mocked_request

from latentcast.config import ServeSettings
from server.access import Rights, refusal, rights

NOTHING = Rights(view=False, manage=False, drive=False)
VIEW = Rights(view=True, manage=False, drive=False)
MANAGE = Rights(view=True, manage=True, drive=False)
DRIVE = Rights(view=True, manage=False, drive=True)


def of(
    given: str | None = None, *, host: str = "127.0.0.1:8470", extra: dict[str, str] | None = None, **settings: object
) -> Rights:
    headers = {"Host": host} | ({} if given is None else {"Authorization": f"Bearer {given}"}) | (extra or {})
    request = make_mocked_request("POST", "/v1/streams", headers=headers)
    return rights(request, ServeSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("token", "expected"),
    [(None, NOTHING), ("wrong", NOTHING), ("v", VIEW), ("m", MANAGE), ("d", DRIVE), ("", NOTHING)],
)
def test_each_token_opens_its_own_and_viewing(token: str | None, expected: Rights) -> None:
    assert of(token, token="v", manage_token="m", input_token="d") == expected


def test_one_token_alone_opens_all_but_driving() -> None:
    assert of("v", token="v") == MANAGE
    assert of(None, token="v") == NOTHING


@pytest.mark.parametrize("host", ["127.0.0.1:8470", "localhost:8470", "[::1]:8470", "127.0.0.1"])
def test_without_tokens_this_machine_manages(host: str) -> None:
    assert of(host=host) == MANAGE


@pytest.mark.parametrize("host", ["evil.example:8470", "127.0.0.1.evil.example", "10.1.2.3:8470"])
def test_a_name_that_merely_resolves_to_this_machine_does_not_even_view(host: str) -> None:
    assert of(host=host) == NOTHING
    assert of("v", host=host, token="v") == MANAGE, "a token is worth the same by any name"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_sees_nothing_without_a_token(site: str) -> None:
    page = {"Sec-Fetch-Site": site}
    assert of(extra=page) == NOTHING, "a screen or a camera that only this user reaches"
    assert of(extra={"Sec-Fetch-Site": "same-origin"}) == MANAGE
    assert of("v", extra=page, token="v") == MANAGE


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_who_comes_through_a_proxy_does_not_manage_without_a_token(header: str) -> None:
    assert of(extra={header: "192.0.2.7"}) == VIEW
    assert of("m", extra={header: "192.0.2.7"}, manage_token="m") == MANAGE


def test_a_server_that_others_reach_is_not_managed_without_a_token() -> None:
    request = make_mocked_request("POST", "/v1/streams", headers={"Host": "127.0.0.1:8470"})
    assert rights(request, ServeSettings(host="0.0.0.0")) == VIEW


def test_nobody_drives_unless_there_is_a_token_for_it() -> None:
    assert not of("anything").drive
    assert not of("").drive


def test_a_refusal_asks_for_a_token_or_says_that_this_one_will_not_do() -> None:
    without = refusal(make_mocked_request("POST", "/"), "publish")
    assert (without.status, without.headers["WWW-Authenticate"]) == (401, "Bearer")
    with_one = refusal(make_mocked_request("POST", "/", headers={"Authorization": "Bearer x"}), "publish")
    assert with_one.status == 403
    assert "publish" in (with_one.text or "")
