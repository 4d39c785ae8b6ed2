"""`nightshift bench-encoding`: how fast texts become vectors, next to sentence-transformers and other engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.bench_model import ONLY
from nightshift.command.options import Texts, file, words
from nightshift.command.terminal import line, percent, screen, table

if TYPE_CHECKING:
    from rich.console import Console

    from nightshift.bench_encoding.run import Outcome

COLUMNS = ("", "texts/s", "times plain", "same nearest 20", "least cosine", "made ready")


def bench_encoding(
    *,
    texts: Texts = None,
    most: Annotated[int, typer.Option(min=100, help="Texts at most, drawn with a seed.")] = 2_000,
    threads: Annotated[int, typer.Option(min=1, help="Threads; a worker of the night has one.")] = 1,
    only: Annotated[str | None, ONLY] = None,
    as_json: Annotated[Path | None, file("--json", "Write everything there, for machines.")] = None,
) -> None:
    """How fast the pre-trained tower encodes items' texts, and whether the same texts are close to each other then.

    Texts of a file, or of the newest catalogue of the lake, equal ones among them. The tower as the night uses it, in
    float32 and int8, sentence-transformers as it comes, and OpenVINO and ONNX Runtime where they are installed: all
    with the same weights, in turns, and the best of three turns counts.

    Examples:
      nightshift bench-encoding
      nightshift bench-encoding --texts item_text.txt --threads 2
      pip install openvino onnxruntime onnx && nightshift bench-encoding --only openvino,onnxruntime
    """
    from nightshift.bench_encoding.run import Wanted, run

    draw(screen(), run(Wanted(texts, most, threads, words(only), as_json)))
    if as_json:
        line(screen(), f"Written: {as_json}")


def draw(console: Console, outcome: Outcome) -> None:
    """A row for each contender."""
    rows = [
        (
            each.name,
            f"{each.texts_per_second:,.0f}",
            f"{each.of_plain:.2f}",
            percent(each.same_nearest),
            f"{each.least_cosine:.4f}",
            f"{each.preparing:.1f} s",
        )
        for each in outcome.contenders
    ]
    console.print(table(COLUMNS, rows, right=COLUMNS[1:]))
    line(console)
    line(
        console,
        f"{outcome.texts:,} texts, {outcome.distinct:,} of them distinct, {outcome.tokens:.1f} tokens each; "
        f"{outcome.threads} thread{'s' * (outcome.threads > 1)}. Nearest and cosine: compared with nightshift's own.",
    )
