"""The backend that is made of backends: each stage runs where it is fastest."""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial

from masklet.runtime.backends.placement.candidates import Candidate, Form, Forms
from masklet.runtime.backends.placement.kept import Choice, KeptChoices
from masklet.runtime.backends.placement.pins import check_pins
from masklet.runtime.backends.placement.session import PlacedSession, full_memory
from masklet.runtime.backends.placement.trial import Budget, Clock, StageTrial, nothing_runs
from masklet.runtime.backends.session import Feeds, Session
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import MaskletError

OBJECTS = "objects"


class PlacedStages:
    """Opens each stage on the backend that is fastest for it.

    What was chosen for the bundle on this machine is opened at once. Otherwise the candidates are timed on the feeds of
    the stage's first call, with the memory bank as full as it will be, and the choice is kept.

    forms:   what there is to choose among.
    pins:    forms of stages that nothing is chosen for.
    clock:   in seconds.
    tell:    gets one line about each choice, when it is made.
    """

    engine_machine: str | None = None  # engines that were not compared with their graphs are no candidates

    def __init__(self, forms: Forms, pins: Mapping[str, Form] | None = None, clock: Clock = time.perf_counter) -> None:
        self.tell: Callable[[str], None] = lambda line: None
        self.ran_on: dict[str, str] = {}
        self._threads = forms.threads or _cores()
        self._forms, self._pins, self._budget = forms, dict(pins or {}), Budget(clock=clock)
        self._kept: KeptChoices | None = None
        self._chosen: dict[str, Candidate] = {}
        self._told: set[str] = set()

    def __str__(self) -> str:
        """Itself, and what runs each stage."""
        chosen = ", ".join(f"{stage} {candidate.form.name}" for stage, candidate in self._chosen.items())
        return f"auto ({chosen})" if chosen else "auto"

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        """What is opened of a stage; before anything was chosen for it, what the first candidate opens."""
        if stage.name in self._chosen:
            return self._chosen[stage.name].backend.artifact(bundle, stage)
        candidates, out = self._forms.candidates(bundle, stage)
        if not candidates:
            raise nothing_runs(stage, out)
        return candidates[0].backend.artifact(bundle, stage)

    def open(self, bundle: Bundle, stage: StageSpec) -> PlacedSession:
        check_pins(self._pins, bundle)
        if stage.name in self._pins:
            candidate = self._forms.candidate(self._pins[stage.name], bundle, stage)
            opened: tuple[Session, bool] | None = self._taken(stage, candidate, candidate.backend.open(bundle, stage))
        else:
            opened = self._reopened(bundle, stage, self._choices(bundle).of_any_size(stage.name))
        if opened is None:
            self.artifact(bundle, stage)  # or there is nothing to choose among
            self.ran_on[stage.name] = "chosen at its first call"
        return PlacedSession(stage, partial(self._choose, bundle), opened)

    def _choices(self, bundle: Bundle) -> KeptChoices:
        if self._kept is None:
            self._kept = KeptChoices(bundle, self._threads)
            if self._kept.remark:
                self.tell(self._kept.remark)
        return self._kept

    def _reopened(self, bundle: Bundle, stage: StageSpec, name: str | None) -> tuple[Session, bool] | None:
        """What was chosen earlier, open; None where that is nothing, or is not to be had any more."""
        if name is None:
            return None
        try:
            candidate = self._forms.candidate(self._forms.named(name), bundle, stage)
            if bundle.manifest.proves(stage.name, candidate.precision):
                return self._taken(stage, candidate, candidate.backend.open(bundle, stage))
            reason = f"{candidate.precision} is not proved"
        except MaskletError as error:
            reason = str(error)
        self._choices(bundle).drop(stage.name)
        self.tell(f"{stage.name}: {name} was chosen and cannot be used any more ({reason}); chosen again")
        return None

    def _choose(self, bundle: Bundle, stage: StageSpec, feeds: Feeds, sizes: Mapping[str, int]) -> tuple[Session, bool]:
        """Open what was chosen for as many objects, or time what there is."""
        objects = up_to(sizes.get(OBJECTS, 0))
        known = self._choices(bundle).of(stage.name, objects)
        opened = self._reopened(bundle, stage, None if known is None else known.chosen)
        return opened or self._timed(bundle, stage, full_memory(bundle.model, stage, feeds), objects)

    def _timed(self, bundle: Bundle, stage: StageSpec, feeds: Feeds, objects: int) -> tuple[Session, bool]:
        kept = self._choices(bundle)
        candidates, out = self._forms.candidates(bundle, stage)
        self._tell_once(out)
        crashed = {c.form.name for c in candidates if kept.ended_too_often(stage.name, c.form.name)}
        out |= dict.fromkeys(crashed, "processes ended while it was tried")
        trial = StageTrial(bundle, stage, self._budget, partial(kept.trying, stage.name), out=out)
        candidate, session = trial.run([c for c in candidates if c.form.name not in crashed], feeds)
        ms = {name: round(each.seconds * 1e3, 3) for name, each in trial.timed.items()}
        name, sizes = candidate.form.name, stage.check(feeds)
        said = {form: why for form, why in trial.out.items() if form not in self._forms.missing}
        kept.keep(Choice(stage.name, name, candidate.precision, objects, sizes, ms, said))
        others = ", ".join(f"{other} {taken:.1f}" for other, taken in ms.items() if other != name)
        self.tell(f"{stage.name}: {name}, {ms[name]:.1f} ms{f' ({others})' if others else ''}")
        return self._taken(stage, candidate, session)

    def _taken(self, stage: StageSpec, candidate: Candidate, session: Session) -> tuple[Session, bool]:
        self._chosen[stage.name] = candidate
        words = f"{candidate.form.name}, {candidate.precision}"
        self.ran_on[stage.name] = candidate.backend.ran_on.get(stage.name, words)
        return session, candidate.form.on_cpu

    def _tell_once(self, out: Mapping[str, str]) -> None:
        """Tell which forms are here and left out, once for each."""
        for name in out.keys() - self._forms.missing.keys() - self._told:
            self._told.add(name)
            self.tell(f"{name} is left out: {out[name]}")


def up_to(objects: int) -> int:
    """Objects rounded up to a power of two: a choice for three holds for four."""
    return 1 << (objects - 1).bit_length() if objects else 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
