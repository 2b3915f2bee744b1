"""Other libraries' hybrid search over the same files and with the same embedder, for comparison.

Each is set up as its documentation shows. Where one takes a function that counts tokens or cuts terms, it is
given Deskmate's, so that none loses by white space as Chinese word border or by longer chunks.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from assistant.core.errors import InputError
from assistant.core.ids import content_id
from assistant.core.language import detect_language
from assistant.core.records import Chunk, Passage, Record
from indexing.analysis import analyze
from indexing.embedding import Embedder

INSTALL = 'python -m pip install "deskmate[index,peers]"'
_OVERLAP_SHARE = 8
_QUERY, _PASSAGE = "query: ", "passage: "
_KINDS = (".md", ".txt")


class PeerFile(Record, frozen=True, kw_only=True):
    """A file to search in.

    Attributes:
        document: its path below the folder, with ``/``.
        path: where it lies.
        text: all of it.
    """

    document: str
    path: Path
    text: str


class Peer(Protocol):
    """A library's hybrid search over files."""

    def search(self, query: str) -> list[Passage]:
        """Return what is found, best first."""


class PeerBuild(Record, frozen=True, kw_only=True):
    """What a peer is built with.

    Attributes:
        files: to search in.
        embedder: of all.
        max_tokens: most tokens of a chunk, by the embedder's tokenizer.
        count: passages returned.
    """

    files: tuple[PeerFile, ...]
    embedder: Embedder
    max_tokens: int
    count: int

    def token_count(self, text: str) -> int:
        """Return how many tokens a text has."""
        return len(self.embedder.tokenizer.encode(text, add_special_tokens=False).ids)


def read_files(folder: Path) -> tuple[PeerFile, ...]:
    """Read the Markdown and text files below a folder.

    Raises:
        InputError: there is none, or one is not UTF-8.
    """
    files = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in _KINDS or not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8: {error}") from error
        files.append(PeerFile(document=path.relative_to(folder).as_posix(), path=path, text=text))
    if not files:
        raise InputError(f"{folder} holds no {' or '.join(_KINDS)} file: only these are read alike by all")
    return tuple(files)


def require(*modules: str) -> None:
    """Check that modules can be imported.

    Raises:
        InputError: one is not installed.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed", next_command=INSTALL
        )


class Txtai:
    """txtai: sections or paragraphs of ``Textractor``, ``Embeddings`` with ``hybrid``."""

    def __init__(self, build: PeerBuild, **segmentation: bool) -> None:
        require("txtai", "bs4")
        from txtai import Embeddings
        from txtai.pipeline import Textractor

        cut = Textractor(backend=None, **segmentation)
        self._rows = [(file.document, text) for file in build.files for text in cut(str(file.path))]
        self._count = build.count
        instructions = {"query": _QUERY, "data": _PASSAGE}
        self._index = Embeddings(
            method="external", transform=_prefixed(build.embedder), instructions=instructions, hybrid=True
        )
        self._index.index((place, text, None) for place, (_, text) in enumerate(self._rows))

    def search(self, query: str) -> list[Passage]:
        """Return what is found, best first."""
        return _passages(self._rows[int(place)] for place, _ in self._index.search(query, self._count))


def _prefixed(embedder: Embedder) -> Callable[[Sequence[str]], Any]:
    """Return a function that embeds texts by the instruction that txtai has put before them."""

    def transform(texts: Sequence[str]) -> Any:
        if texts[0].startswith(_QUERY):
            return embedder.embed_queries([text.removeprefix(_QUERY) for text in texts])
        return embedder.embed_passages([text.removeprefix(_PASSAGE) for text in texts])

    return transform


class LlamaIndex:
    """LlamaIndex: ``SentenceSplitter``, vector index and BM25 in a ``QueryFusionRetriever`` by rank."""

    def __init__(self, build: PeerBuild) -> None:
        require("llama_index", "bm25s")
        import Stemmer
        from llama_index.core import VectorStoreIndex
        from llama_index.core.llms import MockLLM
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.core.retrievers import QueryFusionRetriever
        from llama_index.core.schema import Document
        from llama_index.retrievers.bm25 import BM25Retriever

        splitter = SentenceSplitter(
            chunk_size=build.max_tokens,
            chunk_overlap=build.max_tokens // _OVERLAP_SHARE,
            tokenizer=lambda text: build.embedder.tokenizer.encode(text, add_special_tokens=False).ids,
        )
        documents = [Document(text=file.text, id_=file.document) for file in build.files]
        nodes = splitter.get_nodes_from_documents(documents)
        self._rows = {node.node_id: (node.ref_doc_id, node.get_content()) for node in nodes}
        vectors = build.embedder.embed_passages([node.get_content() for node in nodes])
        for node, vector in zip(nodes, vectors, strict=True):
            node.embedding = vector.tolist()
        dense = VectorStoreIndex(nodes, embed_model=_llama_embedding(build.embedder))
        lexical = BM25Retriever.from_defaults(
            nodes=nodes,
            similarity_top_k=min(build.count, len(nodes)),
            stemmer=Stemmer.Stemmer("english"),
            token_pattern=r"(?u)[㐀-鿿]|\b\w\w+\b",  # noqa: S106 - no password
        )
        self._retriever = QueryFusionRetriever(
            [dense.as_retriever(similarity_top_k=build.count), lexical],
            llm=MockLLM(),
            similarity_top_k=build.count,
            num_queries=1,
            mode="reciprocal_rerank",
            use_async=False,
        )

    def search(self, query: str) -> list[Passage]:
        """Return what is found, best first."""
        return _passages(self._rows[found.node.node_id] for found in self._retriever.retrieve(query))


def _llama_embedding(embedder: Embedder) -> Any:
    from llama_index.core.embeddings import BaseEmbedding

    class Embedding(BaseEmbedding):  # type: ignore[misc]  # untyped base
        def _get_query_embedding(self, query: str) -> list[float]:
            return [float(x) for x in embedder.embed_queries([query])[0]]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return [float(x) for x in embedder.embed_passages([text])[0]]

    return Embedding(model_name=embedder.name)


class LangChain:
    """LangChain: ``RecursiveCharacterTextSplitter``, a vector store and BM25 in an ``EnsembleRetriever``."""

    def __init__(self, build: PeerBuild) -> None:
        require("langchain_classic", "langchain_community", "langchain_core", "langchain_text_splitters")
        require("rank_bm25")
        from langchain_classic.retrievers import EnsembleRetriever
        from langchain_community.retrievers import BM25Retriever
        from langchain_core.documents import Document
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        splitter = RecursiveCharacterTextSplitter(
            chunk_size=build.max_tokens,
            chunk_overlap=build.max_tokens // _OVERLAP_SHARE,
            length_function=build.token_count,
        )
        documents = splitter.split_documents(
            [Document(file.text, metadata={"document": file.document}) for file in build.files]
        )
        store = InMemoryVectorStore(_langchain_embeddings(build.embedder))
        store.add_documents(documents)
        lexical = BM25Retriever.from_documents(documents, preprocess_func=analyze)
        lexical.k = build.count
        dense = store.as_retriever(search_kwargs={"k": build.count})
        self._retriever = EnsembleRetriever(retrievers=[lexical, dense], weights=[0.5, 0.5])

    def search(self, query: str) -> list[Passage]:
        """Return what is found, best first."""
        found = self._retriever.invoke(query)
        return _passages((row.metadata["document"], row.page_content) for row in found)


def _langchain_embeddings(embedder: Embedder) -> Any:
    from langchain_core.embeddings import Embeddings

    class Adapter(Embeddings):  # type: ignore[misc]  # untyped base
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            rows: list[list[float]] = embedder.embed_passages(texts).tolist()
            return rows

        def embed_query(self, text: str) -> list[float]:
            row: list[float] = embedder.embed_queries([text])[0].tolist()
            return row

    return Adapter()


PEERS: dict[str, Callable[[PeerBuild], Peer]] = {
    "txtai, sections": lambda build: Txtai(build, sections=True),
    "txtai, paragraphs": lambda build: Txtai(build, paragraphs=True),
    "LlamaIndex": LlamaIndex,
    "LangChain": LangChain,
}


def _passages(rows: Iterable[tuple[str, str]]) -> list[Passage]:
    """Return (document, text) rows, best first, as passages."""
    return [
        Passage(
            rank=place,
            score=1 / place,
            chunk=Chunk(
                id=content_id(document, text),
                document=document,
                version=1,
                position=place,
                text=text,
                language=detect_language(text),
            ),
        )
        for place, (document, text) in enumerate(rows, 1)
    ]
