"""What `masklet tune` found for a bundle, in the place of options that were not given."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from masklet.runtime.backends.placement.kept import this_machine
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.tuning import Settings, Step, Tuning
from masklet.runtime.cli.open_stream import RunOptions
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.errors import BundleError
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.tracking.memory_detail import MemoryDetail
from masklet.runtime.tracking.memory_limits import MemoryLimits


def with_tuning(options: RunOptions, bundle: Bundle, tell: Callable[[str], None]) -> RunOptions:
    """The options of a run, with a bundle's tuned settings where nothing was given. tell: is told that in one line.

    Raises BundleError for --target-fps with a bundle that was not tuned, or with --untuned.
    """
    tuning = bundle.manifest.tuning
    if options.target_fps is not None and (tuning is None or options.untuned):
        why = "leave out --untuned" if tuning is not None else "tune it first, or leave the option out"
        raise BundleError(f"{bundle.root}: --target-fps steps along what `masklet tune` wrote into a bundle; {why}")
    if tuning is None or options.untuned:
        return options
    tell(in_words(tuning))
    mine = Tunable(options.limits, options.update_interval, options.found_with, options.backend)
    best = mine.tuned(tuning.settings, prompted=not options.concepts)
    return replace(
        options,
        limits=best.limits,
        update_interval=best.update_interval,
        found_with=best.found_with,
        backend=best.backend,
    )


@dataclass(frozen=True, slots=True)
class Tunable:
    """What was given of the options that tuning sets; see `RunOptions`."""

    limits: MemoryLimits
    update_interval: int | None
    found_with: ConceptOptions
    backend: BackendChoice

    def tuned(self, settings: Settings, *, prompted: bool) -> "Tunable":
        """The same, with tuned settings where nothing was given. prompted: whether all objects are."""
        given, attending = self.limits, settings.attending
        detail = None if settings.memory_detail is None else MemoryDetail.parse(settings.memory_detail)
        limits = MemoryLimits(
            given.frames or attending.memory_frames, given.pointers or attending.pointers, given.detail or detail
        )
        interval = self.found_with.detection_interval
        found_with = replace(
            self.found_with, detection_interval=attending.detection_interval if interval == 1 else interval
        )
        update = self.update_interval or (attending.update_interval if prompted else 1)
        return Tunable(limits, update, found_with, _backend(self.backend, settings))


def first_step(tuning: Tuning) -> tuple[tuple[Step, ...], int]:
    """The steps of a tuned bundle, and the one that it was tuned to."""
    attending = tuning.settings.attending
    steps = tuning.steps or (Step(attending, tuning.ms, tuning.loss),)
    return steps, next((n for n, step in enumerate(steps) if step.attending == attending), 0)


def _backend(given: BackendChoice, settings: Settings) -> BackendChoice:
    """The tuned backends, unless another backend than the usual one, or options of one, were given."""
    threads = given.threads or settings.threads
    if given.name != BackendChoice().name or given.settings:
        return given
    if not settings.place:
        return BackendChoice(threads=threads)
    place = ",".join(f"{stage}={form}" for stage, form in settings.place.items())
    return BackendChoice("auto", threads, {"place": place})


def in_words(tuning: Tuning) -> str:
    """The tuned settings, and whether they were tuned on this machine, in one line."""
    here = this_machine(tuning.settings.threads or 0).cpu
    elsewhere = "" if here.startswith(tuning.cpu) else f"; tuned on {tuning.cpu}, here times differ"
    return f"{tuning}; --untuned runs it without{elsewhere}"
