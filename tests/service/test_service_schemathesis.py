"""The API as its description says it is: schemathesis asks every operation, well and badly."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = 12
# what a client may rely on; left out is only what the description cannot say: that some bodies which fit the
# schema are refused for what they mean
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method"
)


@pytest.mark.slow
def test_no_server_error_and_no_undocumented_answer(serve_live: Callable[..., Any], tmp_path: Path) -> None:
    server = serve_live()
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command
    arguments = [
        *(command, "run", f"{server.url}/openapi.json", "--checks", CHECKS, "--max-examples", str(EXAMPLES)),
        *("--phases", "examples,coverage,fuzzing", "--request-timeout", "30", "--no-color", "--seed", "7"),
        *("--suppress-health-check", "all", "--max-response-time", "30"),
        # a stream that goes on until a worker, which is not there, has done the job
        *("--exclude-path", "/v1/jobs/{job_id}/events"),
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, timeout=540, check=False)
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert done.returncode == 0, said[-12_000:] + done.stderr[-2000:]
    selected, tested = re.findall(r"(?:Selected|Tested): (\d+)", said)
    assert int(selected.split("/")[0]) == int(tested) > 40
