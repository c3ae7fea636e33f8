"""The report as one HTML page that needs nothing else: no script, no font, no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from masklet.calibration.diagnosis.observation import Observation
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.report.curves import curves
from masklet.calibration.diagnosis.report.pictures import Row, film
from masklet.calibration.diagnosis.report.report import Condition, Finding, Report
from masklet.calibration.diagnosis.report.template import TEMPLATE

FILMS = 6  # of a condition
COLUMNS = ("frame", *(position.value for position in Position))


@dataclass(frozen=True)
class Film:
    """A film with what it tells. finding: None of an object that was not lost."""

    object_id: int
    finding: Finding | None
    rows: list[Row]


def page(report: Report, seen: Mapping[str, Observation]) -> str:
    """The page's text. seen: the observations of the report's own side, by condition."""
    from jinja2 import Environment
    from markupsafe import Markup

    own = report.side.conditions
    template = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE)
    return template.render(
        r=report,
        first=own[0],
        columns=COLUMNS,
        positions=[position.value for position in Position],
        films={c.name: films(c, seen[c.name]) for c in own if c.name in seen},
        curves={c.name: [(i, [Markup(each) for each in drawn]) for i, drawn in _curves(c)] for c in own[:1]},
        tables=[("precision", "precision"), ("auc", "ROC AUC"), ("refit_precision", "precision, fitted anew")],
        others=dict(zip([c.name for c in own], report.against.conditions, strict=True)) if report.against else {},
    )


def films(condition: Condition, seen: Observation) -> list[Film]:
    """A film of every verdict, and of every object without one."""
    found = []
    for object_id, pictures in seen.pictures.items():
        mine = [f for f in condition.findings if f.verdict.object_id == object_id]
        if not pictures:
            continue
        found += [Film(object_id, f, film(pictures, f.verdict)) for f in mine]
        if not mine:
            found.append(Film(object_id, None, film(pictures, None)))
    return found[:FILMS]


def _curves(condition: Condition) -> Sequence[tuple[int, list[str]]]:
    ids = sorted({m.object_id for m in condition.measures})
    return [
        (
            i,
            curves(
                [m for m in condition.measures if m.object_id == i],
                [f.verdict for f in condition.findings if f.verdict.object_id == i],
            ),
        )
        for i in ids
    ]
