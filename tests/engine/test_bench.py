from pathlib import Path

import pytest

from assistant.engine.bench import main


def test_prints_both_ratios(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(f"--model {tiny_model} --threads 2 --prompt-tokens 60 --new-tokens 8 --repeats 1 --batch 2".split())
    printed = capsys.readouterr().out
    for line in ("first token, generate / engine: ", "tokens a second, engine / generate: "):
        assert float(printed.split(line)[1].split()[0]) > 0
    assert "2 requests one at a time" in printed
