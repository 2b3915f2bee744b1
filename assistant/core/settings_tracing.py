"""``[tracing]``: where the spans of requests are sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(gt=0)]


class TracingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[tracing]``: OpenTelemetry traces, sent to this one URL; no questions, answers or documents in them.

    A password of the collector stands in ``OTEL_EXPORTER_OTLP_HEADERS``.

    Attributes:
        url: of the collector, such as ``http://collector.corp.example:4318/v1/traces``; empty for none.
        share: of the requests that are traced; a trace that began elsewhere is held to it as well.
        timeout_seconds: longest wait for the collector.
    """

    url: str = ""
    share: Share = 1.0
    timeout_seconds: Seconds = 5.0
