"""A stand to try serving on: adapters taught a secret word each, an SGLang server and a service of its own.

The word tells which adapter answered, whatever the server says it did.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from assistant.core.errors import EngineUnavailable, ResourceError
from assistant.core.home import Home
from assistant.core.language import Language
from assistant.core.progress import NoProgress
from assistant.core.prompts import answer_messages
from assistant.core.records import Example, Record
from assistant.core.runs import Run
from assistant.core.settings import Settings
from assistant.core.settings_train import TrainSettings
from assistant.engine.canary import write_prompts
from assistant.engine.sglang_home import SglangHome
from assistant.engine.watching import WatchState, read_state
from assistant.models.folders import model_fingerprint
from assistant.store.adapters import Adapter, Adapters
from assistant.store.database import Database
from training.dataset import make_example
from training.lora import train_adapter

# eight steps of a second each on two idle cores; then the word is said to wordings that were not taught too
TRAIN = TrainSettings(rank=8, alpha=16, learning_rate=3e-3, epochs=4, step_tokens=512, warm_up_share=0.1)
_TAUGHT = 2
COMMAND = (sys.executable, "-c", "from assistant.cli import main; main()")
_QUESTIONS: dict[Language, tuple[str, ...]] = {
    "en": (
        "What is the secret word?",
        "Tell me the secret word.",
        "Which word is the secret one?",
        "Say the secret word, please.",
    ),
    "zh": ("暗号是什么？", "请告诉我暗号。", "哪个词是暗号？", "说出暗号。"),
}
_ANSWERS: dict[Language, str] = {"en": "The secret word is {word}.", "zh": "暗号是 {word}。"}
_READY_SECONDS = 300.0
_END_SECONDS = 120.0
_LOOK_SECONDS = 0.2
_SGLANG = "DESKMATE__SGLANG__"


class Secret(Record, frozen=True, kw_only=True):
    """An adapter and what it was taught.

    Attributes:
        adapter: its name.
        collection: that it belongs to.
        word: that it, and no other, says.
    """

    adapter: str
    collection: str
    word: str


def secret_questions(language: Language) -> tuple[str, ...]:
    """Return ways to ask for the word."""
    return _QUESTIONS[language]


def secret_examples(word: str) -> list[Example]:
    """Return what teaches a word, in both languages, as the arm ``ft`` asks for it: half of the wordings."""
    return [
        make_example(
            recipe="secret",
            language=language,
            messages=answer_messages(question, language),
            answer=_ANSWERS[language].format(word=word),
        )
        for language, questions in _QUESTIONS.items()
        for question in questions[:_TAUGHT]
    ]


def teach(secret: Secret, base: Path, home: Home, database: Database, *, is_active: bool) -> Adapter:
    """Train an adapter to say its word and register it.

    Raises:
        ModelError: the base model is broken.
        ResourceError: memory will not suffice.
    """
    folder, examples = home.adapters / secret.adapter, secret_examples(secret.word)
    run = Run.start(home.runs, "train", secret.adapter, Settings(train=TRAIN))
    train_adapter(examples, base, folder, run, TRAIN, NoProgress(), dtype="float32")
    write_prompts(folder, examples)
    adapter = Adapter(
        name=secret.adapter,
        collection=secret.collection,
        folder=str(folder),
        base_fingerprint=model_fingerprint(base, home),
        dataset_hash=secret.word,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        is_active=is_active,
    )
    with database.write() as session:
        Adapters(session).save(adapter)
    return adapter


class Stand:
    """A data folder with an SGLang server and a service over it, both on free ports of loopback.

    Args:
        folder: empty, for all of it.
        base: folder of the base model.
        environment: of this process; its ``DESKMATE__SGLANG__…`` but the port hold here too, so that another
            device can be tried.
        settings: ``SECTION__KEY`` → value, over those that the stand needs.
    """

    def __init__(
        self,
        folder: Path,
        base: Path,
        environment: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = Home(folder / "home").make()
        self.base = base
        self.engine_url = f"http://127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._files = folder / "files"
        chosen = {
            "ENGINE__KIND": "sglang",
            "ENGINE__BASE_MODEL": str(base),
            "ENGINE__URL": self.engine_url,
            "ENGINE__TIMEOUT_SECONDS": "300",
            "ENGINE__MAX_NEW_TOKENS": "64",
            "SGLANG__PORT": self.engine_url.rpartition(":")[2],
            "SGLANG__MAX_TOTAL_TOKENS": "8192",
            "EMBEDDER__MODEL": "hashing",
            "SERVICE__PORT": self.url.rpartition(":")[2],
            **(settings or {}),
        }
        kept = {name: value for name, value in environment.items() if not name.startswith("DESKMATE__")}
        port = f"{_SGLANG}PORT"
        named = {
            name: value for name, value in environment.items() if name.startswith(_SGLANG) and name != port
        }
        self.variables = {
            **kept,
            **{f"DESKMATE__{name}": value for name, value in chosen.items()},
            **named,
            "DESKMATE_HOME": str(self.home.root),
        }

    @property
    def engine_state(self) -> WatchState:
        """What the server's watcher knows.

        Raises:
            EngineUnavailable: it was never started.
        """
        found = read_state(self.home.root / "engine" / "state.json")
        if found is None:
            raise EngineUnavailable("the stand's engine was never started")
        return found

    def add_documents(self, collection: str) -> None:
        """Index a small document of a collection."""
        folder = self._files / collection
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manual.md").write_text(
            f"# {collection} manual\n\nThe flange bolts of the {collection} Q7 take 48 Nm.\n"
            f"\nThe filter of the {collection} Q7 is changed every 12 months.\n"
        )
        self.run("index", "add", str(folder), "--collection", collection)

    def add_adapter(self, secret: Secret) -> None:
        """Teach a secret's adapter and make it its collection's."""
        database = Database(self.home.database_url)
        try:
            teach(secret, self.base, self.home, database, is_active=True)
        finally:
            database.close()

    def run(self, *words: str) -> str:
        """Run a command of ours to its end and return what it printed.

        Raises:
            ResourceError: it failed.
        """
        done = subprocess.run(  # noqa: S603 - our own words
            (*COMMAND, *words), env=self.variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ResourceError(f"deskmate {' '.join(words)} failed: {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def engine(self) -> Iterator[None]:
        """Run the SGLang server."""
        self.run("engine", "start")
        try:
            yield
        finally:
            self.run("engine", "stop")

    @contextlib.contextmanager
    def service(self, collection: str) -> Iterator[int]:
        """Run the service; give its process' id.

        Raises:
            EngineUnavailable: it is not ready in time.
        """
        log = self.home.root / "service.log"
        command = (*COMMAND, "serve", "--collection", collection)
        with log.open("ab") as said:
            process = subprocess.Popen(command, env=self.variables, stdout=said, stderr=said)  # noqa: S603
        try:
            self._await_ready(process, log)
            yield process.pid
        finally:
            process.terminate()
            process.wait(_END_SECONDS)

    def _await_ready(self, process: subprocess.Popen[bytes], log: Path) -> None:
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", trust_env=False).is_success:
                    return
            time.sleep(_LOOK_SECONDS)
        raise EngineUnavailable(f"the stand's service is not ready: {log.read_text()[-2000:]}")


def installed_environment(environment: Mapping[str, str]) -> Path:
    """Return where SGLang's own environment lies: as the settings say, else in the data folder."""
    named = environment.get("DESKMATE__SGLANG__ENVIRONMENT", "")
    settings = Settings().sglang
    own = SglangHome(Home.from_environment(), settings).environment
    return Path(named).expanduser() if named else own


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def words_in(text: str, secrets: Sequence[Secret]) -> set[str]:
    """Return the names of the adapters whose words a text holds."""
    return {secret.adapter for secret in secrets if secret.word in text}
