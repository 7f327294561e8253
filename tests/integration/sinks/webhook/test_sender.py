"""The webhook: shapes, signature, retries, one delivery an alert, and no secret anywhere."""

import hashlib
import hmac
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import structlog
from aiohttp import web
from pydantic import SecretStr

from liqheat.domain.signals import Alert
from liqheat.platform.clock import ManualClock
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import Webhook
from sinks.webhook.sender import LONGEST_WAIT, Outcome, WebhookSender, body_of, generic_body, signature

NOW = 1_767_225_660_000
TOKEN = "T0PSECRET"  # noqa: S105 - made up
ALERT = Alert(
    event_time=NOW,
    alert_id="entered-VIRTUAL-long-0.855-29453760-29453760",
    kind="entered",
    side=1,
    cluster_id="VIRTUAL-long-0.855-29453760",
    mark_price=0.875,
    edge_price=0.87,
    notional_usd=6_000_000_000_000,
    percent_of_adv=6.0,
    distance=0.571,
    message="VIRTUAL entered: price reached the outer edge 0.87",
    revision=7,
)


class Receiver:
    """Answers with the statuses given, then 200; keeps what it got."""

    def __init__(self, *statuses: int, headers: dict[str, str] | None = None, body: str = "") -> None:
        self.statuses = list(statuses)
        self.body = body
        self.headers = headers or {}
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers=self.headers, text=self.body)


@asynccontextmanager
async def sender(
    receiver: Receiver, sleep: Callable[[float], Awaitable[None]] | None = None, **settings: Any
) -> AsyncIterator[WebhookSender]:
    application = web.Application()
    application.router.add_post(f"/bot{TOKEN}/sendMessage", receiver.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    clock = ManualClock(NOW)
    webhook = Webhook(url=SecretStr(f"http://127.0.0.1:{port}/bot{TOKEN}/sendMessage"), **settings)
    try:
        async with WebhookSender(webhook, clock, sleep or clock.sleep) as sending:
            yield sending
    finally:
        await runner.cleanup()


def test_generic_shape_names_every_field_with_units() -> None:
    assert generic_body("VIRTUAL", ALERT) == {
        "alert_id": "entered-VIRTUAL-long-0.855-29453760-29453760",
        "kind": "entered",
        "symbol": "VIRTUAL",
        "side": "long",
        "cluster_id": "VIRTUAL-long-0.855-29453760",
        "event_time": "2026-01-01T00:01:00+00:00",
        "mark_price": 0.875,
        "edge_price": 0.87,
        "notional_usd": 6_000_000.0,
        "percent_of_adv": 6.0,
        "distance_percent": 0.571,
        "message": "VIRTUAL entered: price reached the outer edge 0.87",
    }


def test_an_unknown_number_is_null_and_the_body_stays_json() -> None:
    cascade = Alert(NOW, "c", "cascade", -1, "", 0.9, math.nan, 1, math.nan, math.nan, "text", 1)
    body = json.loads(body_of("VIRTUAL", cascade, Webhook()))
    assert (body["edge_price"], body["percent_of_adv"], body["cluster_id"], body["side"]) == (None, None, None, "short")


def test_slack_and_telegram_shapes() -> None:
    assert json.loads(body_of("VIRTUAL", ALERT, Webhook(shape="slack"))) == {"text": ALERT.message}
    telegram = Webhook(shape="telegram", telegram_chat="-100123")
    assert json.loads(body_of("VIRTUAL", ALERT, telegram)) == {
        "chat_id": "-100123",
        "text": ALERT.message,
        "disable_web_page_preview": True,
    }


async def test_the_signature_can_be_checked_by_the_receiver() -> None:
    receiver = Receiver()
    async with sender(receiver, secret=SecretStr("key")) as sending:
        assert await sending.deliver("VIRTUAL", ALERT) is Outcome.SENT
    ((headers, body),) = receiver.requests
    expected = hmac.new(b"key", headers["X-Liqheat-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Liqheat-Signature"] == f"sha256={expected}"
    assert headers["X-Liqheat-Timestamp"] == str(NOW // 1_000)
    assert headers["Idempotency-Key"] == ALERT.alert_id
    assert json.loads(body)["alert_id"] == ALERT.alert_id


def test_the_signature_of_a_known_vector() -> None:
    # echo -n '1767225660.{}' | openssl dgst -sha256 -hmac key
    expected = "7f2a4bd9840aab980bbdbd4c1c91a5e0996c76421849cc7980f28a02cf3b1398"
    assert signature("key", "1767225660", b"{}") == f"sha256={expected}"


async def test_a_busy_receiver_is_asked_again() -> None:
    receiver = Receiver(500, 429, 503)
    async with sender(receiver) as sending:
        assert await sending.deliver("VIRTUAL", ALERT) is Outcome.SENT
    assert len(receiver.requests) == 4


TELEGRAM = '{"ok":false,"error_code":429,"description":"retry after 7","parameters":{"retry_after":7}}'


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, "", 7.0),
        ({"Retry-After": "7.5"}, "", 7.5),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:07 GMT"}, "", 7.0),
        ({}, TELEGRAM, 7.0),
        ({}, '{"message": "You are being rate limited.", "retry_after": 7.25}', 7.25),
        ({"Retry-After": "86400"}, "", LONGEST_WAIT),
    ],
)
async def test_the_receivers_wish_to_wait_is_obeyed(headers: dict[str, str], body: str, seconds: float) -> None:
    receiver = Receiver(429, headers=headers, body=body)
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with sender(receiver, sleep) as sending:
        assert await sending.deliver("VIRTUAL", ALERT) is Outcome.SENT
    assert slept == [seconds]


async def test_an_alert_is_given_up_after_its_attempts_and_the_next_goes_on() -> None:
    receiver = Receiver(*[500] * 3)
    async with sender(receiver, attempts=3) as sending:
        assert await sending.deliver("VIRTUAL", ALERT) is Outcome.GIVEN_UP
        other = Alert(**{name: getattr(ALERT, name) for name in Alert.__struct_fields__} | {"alert_id": "other"})
        assert await sending.deliver("VIRTUAL", other) is Outcome.SENT


async def test_a_refusal_is_not_tried_again() -> None:
    receiver = Receiver(403)
    async with sender(receiver) as sending:
        assert await sending.deliver("VIRTUAL", ALERT) is Outcome.GIVEN_UP
    assert len(receiver.requests) == 1


async def test_a_redirect_is_not_followed() -> None:
    receiver = Receiver(307, headers={"Location": "http://127.0.0.1:9/"})
    async with sender(receiver) as sending:
        assert await sending.deliver("VIRTUAL", ALERT) is Outcome.GIVEN_UP
    assert len(receiver.requests) == 1


async def test_an_alert_is_sent_once() -> None:
    receiver = Receiver()
    async with sender(receiver) as sending:
        assert [await sending.deliver("VIRTUAL", ALERT) for _ in range(3)] == ["sent", "duplicate", "duplicate"]
    assert len(receiver.requests) == 1


async def test_an_alert_of_a_time_that_has_not_come_is_not_sent() -> None:
    receiver = Receiver()
    async with sender(receiver) as sending:
        early = msgspec.structs.replace(ALERT, event_time=NOW + 901_000)
        assert await sending.deliver("VIRTUAL", early) is Outcome.GIVEN_UP
    assert receiver.requests == []


async def test_history_is_not_sent() -> None:
    receiver = Receiver()
    async with sender(receiver, maximum_age=900) as sending:
        old = Alert(**{name: getattr(ALERT, name) for name in Alert.__struct_fields__} | {"event_time": NOW - 901_000})
        assert await sending.deliver("VIRTUAL", old) is Outcome.STALE
    assert receiver.requests == []


async def test_no_secret_is_logged_whatever_goes_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    webhook = Webhook(url=SecretStr(f"http://127.0.0.1:1/bot{TOKEN}/x"), secret=SecretStr("HMAC-KEY"), attempts=2)
    clock = ManualClock(NOW)
    with structlog.testing.capture_logs() as logs:
        async with WebhookSender(webhook, clock, clock.sleep) as sending:
            assert await sending.deliver("VIRTUAL", ALERT) is Outcome.GIVEN_UP
    written = repr(logs) + repr(webhook) + str(webhook.model_dump()) + "".join(capsys.readouterr())
    assert "no answer" in written
    assert TOKEN not in written
    assert "HMAC-KEY" not in written


@pytest.mark.parametrize(
    ("webhook", "sentence"),
    [
        (Webhook(), "LIQHEAT_WEBHOOK__URL"),
        (Webhook(url=SecretStr("ftp://x")), "https://"),
        (Webhook(url=SecretStr("https://x"), shape="telegram"), "LIQHEAT_WEBHOOK__TELEGRAM_CHAT"),
    ],
)
def test_wrong_settings_are_a_sentence(webhook: Webhook, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        WebhookSender(webhook, ManualClock())
