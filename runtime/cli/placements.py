"""What `masklet inspect` and `masklet doctor` say about `--backend auto`."""

from collections.abc import Iterator, Sequence

from masklet.runtime.backends.known import backend_kinds
from masklet.runtime.backends.placement.candidates import Forms
from masklet.runtime.backends.placement.kept import FOLDER, Placement, this_machine
from masklet.runtime.backends.user_cache import cache_folder
from masklet.runtime.errors import SessionError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDTH = 130  # columns if the output is not a terminal


def show_placements(placements: Sequence[Placement]) -> None:
    """Print the choices for a bundle, one table per machine and number of threads."""
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    for placement in placements:
        if placement.choices:
            console.print(_table(placement))


def auto_lines() -> Iterator[str]:
    """Which backends `--backend auto` can choose here, why not the others, and where its choices are stored."""
    forms = Forms({name: kind for name, kind in backend_kinds().items() if not kind.made_of_others}, 1)
    there, missing, proofs = [], [], []
    for form in forms.all():
        try:
            forms.backend(form)
        except SessionError as error:
            missing.append(f"not {form.name}: {error}")
            continue
        there.append(form.name)
        proofs += [form.name] if form.settings else []
    yield f"auto chooses among {', '.join(there) or 'nothing'}"
    if proofs:
        yield f"  {', '.join(proofs)}: for bundles where `masklet calibrate` proved that precision"
    for line in missing:
        yield f"  {escape(line)}"
    kept = len(list(cache_folder(FOLDER).glob("*.json")))
    yield f"  {kept} choices stored in {cache_folder(FOLDER)}; delete a file to repeat its timing"


def _table(placement: Placement) -> Table:
    machine = placement.machine
    here = this_machine(machine.threads) == machine
    title = f"Chosen by --backend auto: {machine.where}{'' if here else ' (another machine, or other releases)'}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("stage", "objects up to", "runs on", "precision"):
        table.add_column(name, no_wrap=True)
    table.add_column("ms")
    table.add_column("others: ms, or why not")
    for choice in placement.choices:
        others = [f"{form} {ms:.1f}" for form, ms in choice.ms.items() if form != choice.chosen]
        others += [f"{form} {why.split(';')[0]}" for form, why in choice.out.items()]
        objects, ms = str(choice.objects or ""), f"{choice.ms[choice.chosen]:.1f}"
        table.add_row(choice.stage, objects, choice.chosen, choice.precision, ms, escape("; ".join(others)))
    return table
