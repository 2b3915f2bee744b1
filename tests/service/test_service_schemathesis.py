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

from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.core.settings_limits import LimitSettings
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey

EXAMPLES = 12
# left out: that a body which fits the schema is taken, since some are refused for what they mean
LEFT_OUT = "positive_data_acceptance"
JSON = '{"newton_metres": 48, "sentence": "The flange bolts of the Q7 take 48 Nm."}'


@pytest.mark.slow
def test_no_server_error_no_undocumented_answer_and_nothing_without_a_key(
    serve_live: Callable[..., Any], watched_engine: Callable[..., Any], tmp_path: Path
) -> None:
    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        secret = Keys(session).create(NewKey(name="admin", role="admin"))[1]
    database.close()
    engine = watched_engine([("newton_metres", JSON)])
    server = serve_live(engine, Settings(limits=LimitSettings(requests_per_minute=0)))
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command
    arguments = [
        *(command, "run", f"{server.url}/openapi.json", "--checks", "all", "--exclude-checks", LEFT_OUT),
        *("--header", f"Authorization: Bearer {secret}", "--max-examples", str(EXAMPLES)),
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
