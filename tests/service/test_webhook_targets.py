"""Where webhooks may go, and what their signature is."""

from __future__ import annotations

import pytest

from assistant.core.settings_webhooks import WebhookSettings
from assistant.core.signing import sign
from assistant.service.problems import RequestRefused
from assistant.service.webhook_sending import check_target


def test_the_signature_is_that_of_the_specification() -> None:
    # the example of the Standard Webhooks specification
    made = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("url", "hosts", "is_allowed"),
    [
        ("https://desk.corp.example/hook", ("desk.corp.example",), True),
        ("https://DESK.corp.example/hook", ("desk.corp.example",), True),
        ("https://a.b.corp.example", ("*.corp.example",), True),
        ("https://desk.corp.example:8443", ("desk.corp.example:8443",), True),
        ("https://[::1]:8443", ("[::1]:8443",), True),
        ("https://desk.corp.example", (), False),
        ("https://corp.example", ("*.corp.example",), False),
        ("https://evilcorp.example", ("*.corp.example",), False),
        ("https://desk.corp.example.evil.example", ("desk.corp.example",), False),
        ("https://desk.corp.example:8443", ("desk.corp.example",), False),
        ("https://desk.corp.example@evil.example", ("desk.corp.example",), False),
        ("https://user:pass@desk.corp.example", ("desk.corp.example",), False),
        ("https://evil.example\\@desk.corp.example", ("desk.corp.example",), False),
        ("http://desk.corp.example", ("desk.corp.example",), False),
        ("file:///etc/passwd", ("desk.corp.example",), False),
        ("gopher://desk.corp.example", ("desk.corp.example",), False),
        ("https://", ("",), False),
        ("https://[broken", ("[broken",), False),
        ("泵", ("泵",), False),
    ],
)
def test_only_hosts_of_the_settings(url: str, hosts: tuple[str, ...], is_allowed: bool) -> None:
    try:
        check_target(url, WebhookSettings(hosts=hosts))
    except RequestRefused:
        assert not is_allowed
    else:
        assert is_allowed
