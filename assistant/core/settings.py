"""Settings: defaults in code, then ``--config`` files, then ``DESKMATE__SECTION__KEY``, then flags."""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from assistant.core.errors import SettingsError
from assistant.core.settings_answer import AnswerSettings
from assistant.core.settings_curated import CuratedSettings
from assistant.core.settings_gate import GateSettings
from assistant.core.settings_jobs import JobsSettings
from assistant.core.settings_judge import JudgeSettings
from assistant.core.settings_limits import LimitSettings
from assistant.core.settings_oidc import OidcSettings
from assistant.core.settings_redis import RedisSettings
from assistant.core.settings_retention import RetentionSettings
from assistant.core.settings_sglang import SglangSettings
from assistant.core.settings_syncs import SyncsSettings
from assistant.core.settings_synth import SynthSettings, TeacherSettings
from assistant.core.settings_task import TaskSettings
from assistant.core.settings_tracing import TracingSettings
from assistant.core.settings_train import TrainSettings
from assistant.core.settings_webhooks import WebhookSettings

Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
PersonalDataPolicy = Literal["keep", "mask", "refuse"]
ENVIRONMENT_PREFIX = "DESKMATE__"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections."""


class EngineSettings(Section, frozen=True, kw_only=True):
    """``[engine]``: what generates text.

    Attributes:
        kind: ``local`` (in process), ``sglang`` (HTTP) or ``scripted`` (a fake for dry runs).
        base_model: name from ``deskmate models list``, a folder of Hugging Face format, or, with
            ``[models] allow_hub``, a hub's name.
        url: of the SGLang server, for ``sglang``.
        dtype: of the weights in memory.
        batch_size: requests generated together by the local engine.
        queue_limit: requests that may wait before new ones are turned away.
        max_new_tokens: longest answer.
        threads: processor threads, 0 for all cores.
        timeout_seconds: longest wait for the engine's next token.
    """

    kind: Literal["local", "sglang", "scripted"] = "local"
    base_model: str = "qwen2.5-coder-0.5b-instruct"
    url: str = "http://127.0.0.1:30000"
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    batch_size: Positive = 16
    queue_limit: Positive = 256
    max_new_tokens: Positive = 256
    threads: Annotated[int, Meta(ge=0)] = 0
    timeout_seconds: Annotated[float, Meta(gt=0)] = 120.0


class EmbedderSettings(Section, frozen=True, kw_only=True):
    """``[embedder]``: what makes embeddings.

    Attributes:
        model: of new collections, others keep theirs: a name from ``deskmate models list``, a
            sentence-transformers folder, or ``hashing`` (a fake for dry runs).
        dtype: of the weights in memory; ``auto`` takes bfloat16 where the processor has it.
        batch_size: chunks embedded together.
    """

    model: str = "multilingual-e5-small"
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    batch_size: Positive = 32


class TicketColumns(Section, frozen=True, kw_only=True):
    """``[index.ticket_columns]``: headers of ticket tables, beside the usual English and Chinese ones.

    Attributes:
        question: headers of what was asked; several columns are joined.
        answer: headers of what helped.
        id: headers of the ticket's number.
        status: headers of its state.
        language: headers of its language; left out of the text.
    """

    question: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    language: tuple[str, ...] = ()


class IndexSettings(Section, frozen=True, kw_only=True):
    """``[index]``: parsing and chunking.

    Attributes:
        chunk_tokens: longest chunk in tokens of the embedder.
        max_file_mebibytes: larger files are refused.
        max_pages: longer documents are refused.
        parse_timeout_seconds: a file that takes longer is refused.
        parse_memory_mebibytes: a file that needs more is refused.
        ocr: recognise the text of pages that have none (``auto``) or leave them out (``off``).
        ocr_page_seconds: a page that takes longer is left out.
        ocr_pages: pages recognised in one document; later ones are left out.
        max_text_mebibytes: a file that holds more text is refused; a manual of 1,000 pages has about 3.
        max_unpack_ratio: a file that unpacks to more times its size (and 8 MiB) is refused.
        max_archive_members: files read from one archive; more are refused.
        max_archive_depth: archives inside an archive are read so deep.
        ticket_columns: headers of ticket tables that are not recognised by themselves.
        pii: what happens to personal data (phone, e-mail, ID number, bank card, IBAN, number plate):
            ``keep`` and count it, ``mask`` it before anything is stored, or ``refuse`` the file.
        pii_collections: ``[index.pii_collections]``: the same for collections by name.
        pii_allow: numbers and addresses that are nobody's, such as the company's hotline; ``@acme.example``
            stands for all addresses there.
        snapshots_kept: snapshots kept on disk, the current one included.
        versions_kept: versions of a document whose text is kept, the live one included.
        originals: files kept as they came, for download: those that came over the API (``uploads``), ``all``
            or ``none``; none where ``pii`` masks.
        metadata_rules: ``[[index.metadata_rules]]`` with a ``path`` such as ``pumps/**`` and what holds of
            the documents there: product, model, language, date, audience, tags or a key of one's own.
    """

    chunk_tokens: Annotated[int, Meta(ge=32, le=512)] = 256
    max_file_mebibytes: Positive = 64
    max_pages: Positive = 2000
    parse_timeout_seconds: Positive = 120
    parse_memory_mebibytes: Positive = 3072
    ocr: Literal["auto", "off"] = "auto"
    ocr_page_seconds: Positive = 60
    ocr_pages: Positive = 1000
    max_text_mebibytes: Positive = 64
    max_unpack_ratio: Positive = 200
    max_archive_members: Positive = 10_000
    max_archive_depth: Annotated[int, Meta(ge=0, le=8)] = 3
    ticket_columns: TicketColumns = TicketColumns()
    pii: PersonalDataPolicy = "keep"
    pii_collections: dict[str, PersonalDataPolicy] = msgspec.field(default_factory=dict)
    pii_allow: tuple[str, ...] = ()
    snapshots_kept: Positive = 2
    versions_kept: Positive = 5
    originals: Literal["uploads", "all", "none"] = "uploads"
    metadata_rules: tuple[dict[str, str | tuple[str, ...]], ...] = ()


class SearchSettings(Section, frozen=True, kw_only=True):
    """``[search]``: from a query to passages.

    Attributes:
        top_k: passages returned.
        pool: candidates taken from each lane before fusion.
        dense_weight: weight of the dense lane against the lexical one in the fusion.
        reranker: weights of a reranker that ``index tune`` trained, in the fusion's place; none where empty.
    """

    top_k: Positive = 5
    pool: Positive = 50
    dense_weight: Share = 0.6
    reranker: tuple[float, ...] = ()


class EvalSettings(Section, frozen=True, kw_only=True):
    """``[eval]``: the four arms on a suite.

    Attributes:
        bootstrap_samples: resamples of the paired bootstrap.
        seed: of the resampling.
        max_new_tokens: longest answer while measuring.
        general: also ask general tasks, where a tuned and an untuned arm are asked; the gate wants it.
    """

    bootstrap_samples: Positive = 2000
    seed: int = 7
    max_new_tokens: Positive = 80
    general: bool = True


class ServiceSettings(Section, frozen=True, kw_only=True):
    """``[service]``: the HTTP service.

    Attributes:
        host: address to listen on; anything but loopback needs ``api_key_sha256``.
        port: port to listen on.
        api_key_sha256: SHA-256 (hex) of accepted API keys; empty means no key is asked for.
        collection: the collection that ``/`` and unnamed requests use.
        max_body_mebibytes: larger requests are refused.
        concurrent_answers: answers made at once; more wait in the engine's queue.
        cors_origins: other web pages that may ask with a key, such as ``https://desk.corp.example``.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    api_key_sha256: tuple[str, ...] = ()
    collection: str = "default"
    max_body_mebibytes: Positive = 4
    concurrent_answers: Positive = 64
    cors_origins: tuple[str, ...] = ()


class ModelsSettings(Section, frozen=True, kw_only=True):
    """``[models]``: where weights may come from.

    Attributes:
        allow_hub: let a name that is no local folder be fetched from a model hub.
    """

    allow_hub: bool = False


class Settings(Section, frozen=True, kw_only=True):
    """All settings; each section's defaults are complete."""

    engine: EngineSettings = EngineSettings()
    sglang: SglangSettings = SglangSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    index: IndexSettings = IndexSettings()
    search: SearchSettings = SearchSettings()
    answer: AnswerSettings = AnswerSettings()
    task: TaskSettings = TaskSettings()
    synth: SynthSettings = SynthSettings()
    teacher: TeacherSettings = TeacherSettings()
    judge: JudgeSettings = JudgeSettings()
    train: TrainSettings = TrainSettings()
    eval: EvalSettings = EvalSettings()
    gate: GateSettings = GateSettings()
    jobs: JobsSettings = JobsSettings()
    curated: CuratedSettings = CuratedSettings()
    syncs: SyncsSettings = SyncsSettings()
    service: ServiceSettings = ServiceSettings()
    limits: LimitSettings = LimitSettings()
    redis: RedisSettings = RedisSettings()
    retention: RetentionSettings = RetentionSettings()
    oidc: OidcSettings = OidcSettings()
    tracing: TracingSettings = TracingSettings()
    webhooks: WebhookSettings = WebhookSettings()
    models: ModelsSettings = ModelsSettings()


class LoadedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings and where each value comes from.

    Attributes:
        settings: the merged settings.
        origins: ``section.key`` → ``default``, a file's path, a variable's name or ``flag``.
    """

    settings: Settings
    origins: dict[str, str]


def load_settings(
    files: Iterable[Path] = (),
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> LoadedSettings:
    """Merge all layers.

    Args:
        files: TOML files, later ones win.
        environment: variables; only ``DESKMATE__SECTION__KEY`` count.
        flags: ``section.key`` → value.

    Raises:
        SettingsError: naming every bad key and value of all layers at once.
    """
    layers: list[tuple[str, str, object]] = []
    problems: list[str] = []
    for file in files:
        layers.extend((key, str(file), value) for key, value in _read_file(file, problems))
    layers.extend(_read_environment(environment or {}, problems))
    layers.extend((key, "flag", value) for key, value in (flags or {}).items())
    merged: dict[str, dict[str, object]] = {}
    origins = dict.fromkeys(setting_keys(), "default")
    for key, origin, value in layers:
        problem = _check(key, value)
        if problem:
            problems.append(f"{origin}: {problem}")
            continue
        section, name = key.split(".", 1)
        merged.setdefault(section, {})[name] = value
        origins[key] = origin
    if problems:
        raise SettingsError("bad settings:\n  " + "\n  ".join(problems))
    return LoadedSettings(settings=msgspec.convert(merged, Settings), origins=origins)


def setting_keys() -> dict[str, Any]:
    """Return every ``section.key`` with its type."""
    return {
        f"{section.name}.{field.name}": field.type
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(typing.cast("type[Section]", section.type))
    }


def _read_file(file: Path, problems: list[str]) -> list[tuple[str, object]]:
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{file}: cannot be read: {error.strerror}")
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{file}: not TOML: {error}")
        return []
    rows: list[tuple[str, object]] = []
    for section, values in table.items():
        if isinstance(values, dict):
            rows.extend((f"{section}.{name}", value) for name, value in values.items())
        else:
            problems.append(f"{file}: {section!r} stands outside a [section]")
    return rows


def _read_environment(environment: Mapping[str, str], problems: list[str]) -> list[tuple[str, str, object]]:
    rows: list[tuple[str, str, object]] = []
    known = setting_keys()
    for variable in sorted(environment):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1)
        if key not in known:
            problems.append(f"{variable}: unknown setting {key!r}")
            continue
        rows.append((key, variable, _from_text(environment[variable], known[key])))
    return rows


def _from_text(text: str, kind: Any) -> object:
    """Read a variable's text as the setting's type; text that does not fit is refused by the check."""
    if typing.get_origin(kind) is tuple:
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        return _unbounded(text, kind)


def _unbounded(text: str, kind: Any) -> object:
    """Read a text that may be out of bounds, so that the check names the bound and not the type."""
    try:
        return msgspec.convert(text, _bare(kind), strict=False)
    except msgspec.ValidationError:
        return text


def _bare(kind: Any) -> Any:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def _check(key: str, value: object) -> str | None:
    kind = setting_keys().get(key)
    if kind is None:
        return f"unknown setting {key!r}"
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return f"{key} = {value!r}: {error}"
    return None


def describe_type(kind: Any) -> str:
    """Return a setting's type in a few words, for ``config show``."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is Literal:
        return " | ".join(str(item) for item in typing.get_args(kind))
    base = _bare(kind)
    return getattr(base, "__name__", str(base))
