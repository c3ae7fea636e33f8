"""A reference page for the stages and tensors of each pipeline, from the table that bundles are checked with."""

from collections.abc import Iterator

from masklet.runtime.bundle.pipelines import BLOCKS, CONCEPTS, IMAGES, LEAST, TENSORS, VIDEO, Pipeline, StageNeeds

PAGE = "reference/pipelines.md"
INTRODUCTION = """# Stages and tensors
A [bundle](../glossary.md#bundle) runs through up to three pipelines: prompts on images (every video model, and image \
models without a concept detector), tracking (`"pipeline": "video"`) and phrases and exemplars (`"concepts"`). \
`Bundle.load` refuses a bundle that lacks a stage or a tensor of its pipelines, or declares one in another form.

Numbers are sizes. Lower case names are symbols, whose size a call decides. Upper case names are sizes that the model \
decides, the same wherever the name appears; `HEIGHT` and `WIDTH` are those of `preprocess`.
"""
FEATURES = "Any output of the image encoder may be an input as well.\n"


def pipeline_pages() -> dict[str, str]:
    """The page, by its path on the site."""
    lines = [INTRODUCTION, *(f"`{name}` is at least {size}.\n" for name, size in LEAST.items())]
    for pipeline in (IMAGES, VIDEO, CONCEPTS):
        lines += _section(pipeline)
    lines.append("## Memories of blocks of cells\nVariants for pooled and foveated memories declare:\n")
    lines += _table((name, pattern, "input") for name, pattern in BLOCKS.items())
    return {PAGE: "\n".join(lines)}


def _section(pipeline: Pipeline) -> Iterator[str]:
    yield f"## {pipeline.task[0].upper()}{pipeline.task[1:]}\n"
    for name, needs in pipeline.stages.items():
        yield f"### {name}\n"
        yield from _table(_rows(needs))
        if needs.features:
            yield FEATURES


def _rows(needs: StageNeeds) -> Iterator[tuple[str, str, str]]:
    for kind, names in (
        ("input", needs.takes),
        ("optional input", needs.may_take),
        ("output", needs.gives),
        ("optional output", needs.may_give),
    ):
        for name in names.split():
            yield name, TENSORS.get(name) or BLOCKS[name], kind


def _table(rows: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    yield "| tensor | form | |\n| --- | --- | --- |"
    for name, pattern, kind in rows:
        yield f"| `{name}` | `{pattern}` | {kind} |"
    yield ""
