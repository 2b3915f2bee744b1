"""``deskmate index tune``: how lanes are weighed, measured on the collection's own questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.building import collection_option, json_option
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import InputError

if TYPE_CHECKING:
    from indexing.corpus import Corpus
    from indexing.tuning import Tuning, TuningQuestion


@click.command()
@collection_option
@click.option("--suite", type=click.Path(path_type=Path, dir_okay=False), help="Real questions with gold.")
@json_option
@pass_context
def tune(context: Context, collection: str, suite: Path | None, *, as_json: bool) -> None:
    """Measure ways to rank on a suite's questions and use the one that wins; without one, only measure."""
    from indexing.embedders import Embedders
    from indexing.opening import open_snapshot
    from indexing.snapshots import open_current
    from indexing.tuning import tune as measure
    from indexing.tuning import write_tuning

    folder = context.home.collection(collection)
    open_current(folder)  # says that there is no index before a model is loaded
    embedder = Embedders(context.settings, context.home).of(collection)
    snapshot = open_snapshot(folder, embedder)
    asked = _questions(suite, snapshot.corpus) if suite else []
    tuning = measure(snapshot, embedder, context.settings.search, asked)
    if tuning is None:
        raise InputError(f"collection {collection!r} holds no text that questions can be made of")
    write_tuning(folder, tuning)
    if as_json:
        print_json(tuning)
    else:
        _show(tuning)


def _questions(suite: Path, corpus: Corpus) -> list[TuningQuestion]:
    from eval.retrieval import is_right, is_same_document
    from eval.suites import load_suite
    from indexing.tuning import TuningQuestion

    rows = list(corpus.rows)
    found = []
    for case in load_suite(suite):
        right = {
            row.number
            for gold in case.gold
            for row in rows
            if is_same_document(gold.doc, row.chunk.document) and is_right(gold, row.chunk)
        }
        if right and not case.history and not case.hides_evidence:
            found.append(TuningQuestion(text=case.question, gold=frozenset(right)))
    if not found:
        raise InputError(f"{suite}: no question's gold is in the collection")
    return found


def _show(tuning: Tuning) -> None:
    origin = (
        "made from the chunks (titles; sentences without rare words)" if tuning.is_made else "of the suite"
    )
    click.echo(f"{tuning.question_count} questions {origin}")
    click.echo(f"{'':14}{'hit@5':>7}{'MRR@10':>8}  95 % interval")
    for row in tuning.rows:
        low, high = row.mrr_interval
        click.echo(f"{row.name:14}{row.hit_at_5:7.3f}{row.mrr_at_10:8.3f}  {low:.3f} to {high:.3f}")
    weight = f"best weight on half of them: {tuning.dense_weight:g}; on the other half"
    click.echo(f"{weight} {_verdict(tuning.gain, is_made=tuning.is_made, is_used=tuning.is_used)}")
    verdict = _verdict(tuning.reranked_gain, is_made=tuning.is_made, is_used=bool(tuning.reranker))
    click.echo(f"reranker trained on the other half of them: {verdict}")


def _verdict(gain: tuple[float, float, float], *, is_made: bool, is_used: bool) -> str:
    mean, low, high = gain
    verdict = "not used: it does not win"
    if is_made:
        verdict = "not used: made questions favour the documents' words; give real ones with --suite"
    elif is_used:
        verdict = "used from the next start of a service"
    elif low > 0:
        verdict = "not used: another way wins by more"
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] against the default: {verdict}"
