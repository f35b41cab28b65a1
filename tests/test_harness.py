"""What the tests themselves rely on."""

from __future__ import annotations

import httpx
import pytest
from tests.support.patient import Patient

REFUSALS = [
    *(httpx.Response(503), httpx.Response(429), httpx.ConnectError("refused")),
    httpx.RemoteProtocolError("closed"),
]


class FakeBusy(httpx.BaseTransport):
    """A fake busy server: refuses in these ways, then answers."""

    def __init__(self, *refusals: httpx.Response | httpx.TransportError) -> None:
        self.refusals = list(refusals)
        self.asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The next refusal; what was asked for when none is left."""
        self.asked += 1
        if not self.refusals:
            return httpx.Response(201, json={"id": 1})
        refusal = self.refusals.pop(0)
        if isinstance(refusal, httpx.TransportError):
            raise refusal
        return refusal


def ask(busy: FakeBusy, method: str) -> httpx.Response:
    """One request of the tests' client to this server."""
    with Patient("http://127.0.0.1/api", pause=0, transport=busy) as client:
        return client.request(method, "/flow_runs/")


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_what_a_busy_server_refuses_is_asked_again(refusal):
    """A refusal under load is not the end of a test, whatever way it comes."""
    busy = FakeBusy(refusal, refusal)

    assert ask(busy, "GET").status_code == 201
    assert busy.asked == 3


@pytest.mark.parametrize("refusal", REFUSALS[:3], ids=str)
def test_a_change_that_was_not_made_is_asked_for_again(refusal):
    """The server did nothing, so a POST may be repeated."""
    assert ask(FakeBusy(refusal), "POST").status_code == 201


@pytest.mark.parametrize("error", [httpx.RemoteProtocolError("cut"), httpx.ReadError("cut")])
def test_a_change_that_may_have_been_made_is_not_repeated(error):
    """A POST whose answer was lost may have made its run: a second one would falsify a count."""
    busy = FakeBusy(error)

    with pytest.raises(httpx.TransportError):
        ask(busy, "POST")
    assert busy.asked == 1


@pytest.mark.parametrize("status", [404, 409, 500])
def test_an_answer_is_taken_as_it_is(status):
    """What is no refusal under load is what the test asked about."""
    assert ask(FakeBusy(httpx.Response(status)), "GET").status_code == status
