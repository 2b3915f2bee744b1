from __future__ import annotations

import threading

import numpy as np
import pytest

from assistant.core.errors import DeskmateError
from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, Settings
from indexing.embedding import HashingEmbedder, TransformerEmbedder, load_embedder


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        (
            "the pump leaks at the seal",
            "Seal of the pump: what to do when it leaks",
            "Connect the router to Wi-Fi",
        ),
        ("设备无法启动怎么办", "设备启动失败时的处理办法", "路由器的无线网络设置"),
    ],
)
def test_hashing_finds_similar_wording_in_both_languages(query: str, near: str, far: str) -> None:
    embedder = HashingEmbedder()
    question = embedder.embed_queries([query])[0]
    close, distant = embedder.embed_passages([near, far])
    assert question @ close > question @ distant + 0.1


def test_hashing_gives_unit_vectors_also_for_nothing() -> None:
    embedder = HashingEmbedder()
    vectors = embedder.embed_passages(["pump", "泵", "!?"])
    assert vectors.shape == (3, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 0])
    assert embedder.embed_passages([]).shape == (0, embedder.dimension)


def test_hashing_counts_words_and_chinese_characters_as_tokens() -> None:
    tokenizer = HashingEmbedder().tokenizer
    assert len(tokenizer.encode("pump 泵站, ok").ids) == 5


def test_the_settings_choose_the_embedder(home: Home) -> None:
    settings = Settings(embedder=EmbedderSettings(model="hashing"))
    assert load_embedder(settings, home).name == "hashing"


@pytest.fixture(scope="module")
def embedder() -> TransformerEmbedder:
    home = Home.from_environment()
    try:
        return load_embedder(Settings(), home)  # type: ignore[return-value]
    except DeskmateError as error:
        pytest.skip(f"no prepared embedder: {error}")


@pytest.mark.slow
def test_the_transformer_understands_meaning_in_both_languages(embedder: TransformerEmbedder) -> None:
    english = ["If the device fails to start, check the mains fuse.", "The carpet comes in blue and red."]
    chinese = ["如果设备无法启动，请检查保险丝。", "地毯有蓝色和红色两种。"]
    passages = embedder.embed_passages([*english, *chinese])
    assert np.linalg.norm(passages, axis=1) == pytest.approx([1] * 4, abs=1e-5)
    first, second = embedder.embed_queries(["My machine does not turn on", "机器打不开怎么办"]) @ passages.T
    assert first[0] > first[1] + 0.02
    assert second[2] > second[3] + 0.02
    assert first[2] > first[3]  # across the languages


@pytest.mark.slow
def test_the_order_of_a_batch_does_not_matter(embedder: TransformerEmbedder) -> None:
    texts = ["short", "a much longer text about pumps and seals " * 12, "泵"]
    together = embedder.embed_passages(texts)
    alone = np.vstack([embedder.embed_passages([text]) for text in texts])
    assert (together * alone).sum(axis=1) == pytest.approx([1, 1, 1], abs=5e-3)


@pytest.mark.slow
def test_threads_embed_at_once(embedder: TransformerEmbedder) -> None:
    results: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        results[number] = embedder.embed_queries([f"pump {number} " * (number + 1)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4


@pytest.mark.slow
@pytest.mark.parametrize("text", ["My machine does not turn on", "机器打不开怎么办", "seal " * 900])
def test_a_query_alone_is_embedded_as_among_others(embedder: TransformerEmbedder, text: str) -> None:
    together = embedder.embed_queries([text, "another one"])
    assert embedder.embed_queries([text])[0] @ together[0] == pytest.approx(1, abs=2e-3)
    assert embedder.embed_queries([text])[0] @ together[1] < 0.95
