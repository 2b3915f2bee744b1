"""Fixtures of all tests: no hub, no telemetry, patient threads; a data folder per test."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.core.environment import prepare_environment
from assistant.core.home import Home

prepare_environment()


CORPUS = [
    "The pump stops with fault code E07 when the pressure is too low.",
    "Close the valve, wait ten minutes and start the pump again.",
    "水泵压力过低时会显示故障代码。关闭阀门，等待十分钟后重新启动。",
    "system user assistant question answer passage number",
] * 4
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_model(folder: Path, *, seed: int = 0) -> Path:
    """Write a random Qwen2 of two layers and a byte-level BPE tokenizer with a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )
    fast.save_pretrained(str(folder))
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=fast.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    Qwen2ForCausalLM(config).save_pretrained(str(folder))
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden files anew")
    parser.addoption("--postgres", action="store_true", help="keep the rows of all tests in PostgreSQL")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--postgres"):
        for item in items:
            if item.get_closest_marker("sqlite"):
                item.add_marker(pytest.mark.skip(reason="about SQLite itself"))


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Home:
    """Return a data folder with a database of its own: SQLite, with ``--postgres`` PostgreSQL."""
    url = None
    if request.config.getoption("--postgres"):
        cluster, named = request.getfixturevalue("postgres"), os.environ.get("DESKMATE_DATABASE_URL")
        url = named if named in cluster.made else cluster.new_database()  # the service's tests name one
    return Home(tmp_path / "home", url).make()


@pytest.fixture
def golden_losses(request: pytest.FixtureRequest) -> object:
    """Return a function that gives the losses kept in ``tests/golden/NAME``, or keeps the ones given."""
    folder = Path(__file__).parent / "golden"

    def read(name: str, losses: list[float]) -> list[float]:
        if request.config.getoption("--rewrite-golden"):
            (folder / name).write_text(json.dumps(losses) + "\n", "utf-8")
        kept: list[float] = json.loads((folder / name).read_text("utf-8"))
        return kept

    return read


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> object:
    """Return a function that compares a text with ``tests/golden/NAME``, or rewrites it."""
    folder = Path(__file__).parent / "golden"

    def check(name: str, text: str) -> None:
        file = folder / name
        if request.config.getoption("--rewrite-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        assert file.read_text("utf-8") == text

    return check


class PostgresCluster:
    """A PostgreSQL server of the tests' own; ``data`` is its folder."""

    def __init__(self, programs: Path, folder: Path, owner: str | None) -> None:
        self.programs = programs
        self.data = folder / "data"
        self._folder = folder
        self._as_owner = ["runuser", "-u", owner, "--"] if owner else []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.made: list[str] = []

    def start(self) -> None:
        self._run("initdb", "-D", str(self.data), "-A", "trust", "-U", "desk")
        file = self.data / "postgresql.conf"
        own = f"port={self._port}\nunix_socket_directories='{self._folder}'\nlisten_addresses='127.0.0.1'\n"
        file.write_text(file.read_text() + own)
        self.start_again()

    def start_again(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self._folder / "log"), "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "stop")

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"desk{len(self.made) + 1}"
        where = ["-h", "127.0.0.1", "-p", str(self._port), "-U", "desk"]
        self._run("createdb", *where, name)
        self.made.append(f"postgresql+pg8000://desk@127.0.0.1:{self._port}/{name}")
        return self.made[-1]

    def _run(self, command: str, *words: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        program = str(self.programs / command)
        subprocess.run([*self._as_owner, program, *words], check=True, cwd="/", **quiet)  # type: ignore[call-overload]


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; Debian keeps it off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders and (folders[-1] / "initdb").exists() else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """Start a PostgreSQL server where one is installed."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here")
    owner = "postgres" if os.getuid() == 0 else None  # the server refuses to run as root
    folder = Path("/tmp") / f"deskmate-postgres-{os.getpid()}"  # noqa: S108 - the server's user must reach it
    folder.mkdir()
    if owner:
        try:
            os.chown(folder, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
        except KeyError:
            pytest.skip("no user for the PostgreSQL server")
    cluster = PostgresCluster(programs, folder, owner)
    cluster.start()
    yield cluster
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("tiny-model"))
