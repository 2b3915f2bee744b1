from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from litestar.testing import AsyncTestClient

from assistant.core.errors import DeskmateError
from assistant.core.settings import Settings
from assistant.service.api_examples import EXAMPLES
from assistant.service.app import create_app


async def test_description_is_the_golden_one(
    client: AsyncTestClient[Any], check_golden: Callable[[str, str], None]
) -> None:
    description = (await client.get("/openapi.json")).json()
    description["info"]["version"] = "VERSION"
    check_golden("openapi.json", json.dumps(description, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


async def test_every_operation_is_documented_with_its_errors(client: AsyncTestClient[Any]) -> None:
    description = (await client.get("/openapi.json")).json()
    operations = {
        f"{method} {path}": operation
        for path, item in description["paths"].items()
        for method, operation in item.items()
    }
    assert description["openapi"].startswith("3.1")
    assert len(operations) > 40
    assert {"post /v1/chat/completions", "post /v1/answers", "get /v1/audit", "get /livez"} < set(operations)
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(set(ids)) == len(ids)
    for name, operation in operations.items():
        assert operation["summary"], name
        errors = {status: item for status, item in operation["responses"].items() if status >= "400"}
        assert errors or name == "get /livez", name
        is_openai = name.endswith(("completions", "models", "models/{model_id}", "embeddings"))
        kind, schema = (
            ("application/json", "OpenAIError") if is_openai else ("application/problem+json", "Problem")
        )
        for item in errors.values():
            assert item["content"][kind]["schema"] == {"$ref": f"#/components/schemas/{schema}"}


def test_every_problem_that_the_service_has_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", text, re.MULTILINE))
    kinds = [DeskmateError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    elsewhere = ("assistant.client", "assistant.cli", "assistant.core.signing", "tests")
    ours = {kind.slug: str(kind.status) for kind in kinds if not kind.__module__.startswith(elsewhere)}
    assert len(ours) > 20
    assert {slug: status for slug, status in ours.items() if told.get(slug) != status} == {}


async def test_headers_and_bodies_are_shown(client: AsyncTestClient[Any]) -> None:
    operations = [
        operation
        for item in (await client.get("/openapi.json")).json()["paths"].values()
        for operation in item.values()
    ]
    without_body = []
    for operation in operations:
        name, responses = operation["operationId"], operation["responses"]
        given = {row["name"] for row in operation.get("parameters", ()) if row["in"] == "header"}
        assert ("If-Match" in given) == ("412" in responses), name
        assert ("If-None-Match" in given) == ("304" in responses) == ("ETag" in headers(responses, "200")), (
            name
        )
        assert ("Idempotency-Key" in given) == ("422" in responses), name
        assert "202" not in responses or "Location" in headers(responses, "202"), name
        assert "429" not in responses or "Retry-After" in headers(responses, "429"), name
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body and not body.get("examples"):
            without_body.append(name)
    assert without_body == []
    assert set(EXAMPLES) <= {operation["operationId"] for operation in operations}


def test_every_example_is_what_its_route_reads() -> None:
    seen = 0
    for route in create_app(Settings()).routes:
        for handler in getattr(route, "route_handlers", ()):
            for body in EXAMPLES.get(str(getattr(handler, "operation_id", "")), {}).values():
                msgspec.convert(body, handler.parsed_data_field.annotation)
                seen += 1
    assert seen == sum(map(len, EXAMPLES.values()))


def headers(responses: dict[str, Any], status: str) -> dict[str, Any]:
    found: dict[str, Any] = responses.get(status, {}).get("headers", {})
    return found


async def test_a_streamed_answer_is_documented(client: AsyncTestClient[Any]) -> None:
    description = (await client.get("/openapi.json")).json()
    content = description["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"]["$ref"].endswith("/ChatCompletion")
    assert content["text/event-stream"]["schema"]["$ref"].endswith("/ChatChunk")


async def test_every_reference_leads_somewhere(client: AsyncTestClient[Any]) -> None:
    text = (await client.get("/openapi.json")).text
    named = set(json.loads(text)["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= named
