"""The report as one HTML page that needs nothing else: no script, no font, no network."""

import re
from collections.abc import Iterator, Mapping

from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.report.curves import curves
from masklet.calibration.diagnosis.report.films import Film
from masklet.calibration.diagnosis.report.report import Condition, Report
from masklet.calibration.diagnosis.report.template import TEMPLATE

COLUMNS = ("frame", *(position.value for position in Position))
TABLES = {"precision": "precision", "auc": "ROC AUC", "refit_precision": "precision, fitted anew"}


def page(report: Report, films: Mapping[str, list[Film]]) -> str:
    """The page's text. films: of the report's own side, by condition."""
    from jinja2 import Environment
    from markupsafe import Markup, escape

    environment = Environment(autoescape=True, trim_blocks=True)
    environment.filters["code"] = lambda text: Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
    own = report.side.conditions
    return environment.from_string(TEMPLATE).render(
        r=report,
        first=own[0],
        columns=COLUMNS,
        positions=COLUMNS[1:],
        films=films,
        curves=[(i, [Markup(each) for each in drawn]) for i, drawn in _curves(own[0])],
        tables=TABLES,
        others={each.name: each for each in report.against.conditions} if report.against else {},
    )


def _curves(condition: Condition) -> Iterator[tuple[int, list[str]]]:
    """Every object's curves."""
    for object_id in sorted({m.object_id for m in condition.measures}):
        measures = [m for m in condition.measures if m.object_id == object_id]
        yield object_id, curves(measures, [f.verdict for f in condition.findings if f.verdict.object_id == object_id])
