"""MIG: what the GPU instances of a partitioned board say, each for itself.

Memory, activity and processes belong to a GPU instance; power, temperature, clocks and errors stay with the board. The
compute instances in it share its memory, so it is read through one of them only.

Instances come and go while the agent runs. The layout is read anew with the slow tier, when the mode changes and when
a handle turns out dead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from warpgauge.core.catalog import Tier, device
from warpgauge.core.sample import ReadError
from warpgauge.exporters.collectors.nvml_api import CallFailedError, Verdict, constant
from warpgauge.exporters.collectors.nvml_getters import GETTERS
from warpgauge.exporters.collectors.nvml_gpm import Gpm
from warpgauge.exporters.collectors.nvml_mig_layout import STALE, Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Getter, Reading
    from warpgauge.exporters.collectors.nvml_gpm import GpmPace
    from warpgauge.exporters.collectors.nvml_mig_layout import Part

__all__ = ["WHOLE", "Partitions", "Standing"]

_NOT_FOUND: Final = constant("NVML_ERROR_NOT_FOUND")
_ENDS: Final = {Verdict.LOST, Verdict.NEEDS_RESET, Verdict.DRIVER}
(_NEWER,) = (getter for getter in GETTERS if getter.metric is device.MEMORY_TOTAL)
_MEMORY: Final = tuple(getter for getter in (_NEWER, _NEWER.instead) if getter is not None)


@dataclass(slots=True, kw_only=True)
class Instance:
    """One GPU instance; it is the same one as long as its parts are the same."""

    parts: tuple[Part, ...]
    gpm: Gpm | None
    unsupported: set[object] = field(default_factory=set)
    doubtful: set[object] = field(default_factory=set)  # refused as if the instance were gone; until the next slow look

    @property
    def number(self) -> int:
        """By which driver, nvidia-smi and DCGM call it; free for another instance when this one is gone."""
        return self.parts[0].gpu_instance

    def may_be_asked(self, key: object) -> bool:
        """Whether a question is known to have no answer."""
        return key not in self.unsupported and key not in self.doubtful

    def forget_the_past(self) -> None:
        """Averages begin anew: counts of another instance may stand under the same number now."""
        if self.gpm is not None:
            self.gpm.forget()


class Standing(NamedTuple):
    """How a board stands towards MIG: what it can do itself depends on both."""

    is_enabled: bool
    is_partitioned: bool  # into at least one instance; else the board answers as a whole, whatever the mode


WHOLE: Final = Standing(is_enabled=False, is_partitioned=False)


class Partitions:
    """The GPU instances of one board. A failure costs the samples of its instance only, a change costs nobody any."""

    def __init__(self, api: NvmlApi, board: Any, pace: GpmPace | None) -> None:  # noqa: ANN401 - an opaque pointer
        self.is_profiled = True  # whether GPM may be read now; if not, no sample of ours is left
        self._is_enabled = False
        self._api = api
        self._board = board
        self._layout = Layout(api, board)
        self._pace = pace  # of GPM; None before Hopper: there NVML tells nothing
        self._instances: dict[int, Instance] = {}

    @classmethod
    def of(cls, api: NvmlApi, board: Any, pace: GpmPace | None) -> Partitions | None:  # noqa: ANN401 - an opaque pointer
        """The parts of a board as of now, None for a board that cannot be cut.

        Raises:
            CallFailedError: the board or the driver is gone.

        """
        partitions = cls(api, board, pace)
        try:
            partitions.look()
        except CallFailedError as failure:
            if failure.verdict in _ENDS:
                raise
            return None if failure.verdict is Verdict.UNSUPPORTED else partitions
        return partitions

    @property
    def standing(self) -> Standing:
        """As of the last look."""
        return Standing(is_enabled=self._is_enabled, is_partitioned=bool(self._instances))

    def look(self) -> None:
        """Read the layout anew. An instance that is not the one it was begins without a past.

        Raises:
            CallFailedError: the board told nothing; what was known stays.

        """
        is_enabled = self._layout.is_enabled()
        found: dict[int, list[Part]] = {}
        for part in self._layout.parts() if is_enabled else ():
            found.setdefault(part.gpu_instance, []).append(part)
        before, self._instances, self._is_enabled = self._instances, {}, is_enabled
        for number, listed in sorted(found.items()):
            parts = tuple(sorted(listed, key=attrgetter("compute_instance")))
            known = before.get(number)
            if known is not None and known.parts == parts:
                known.parts = parts  # with the handles of now
                self._instances[number] = before.pop(number)
            else:
                self._instances[number] = Instance(parts=parts, gpm=self._gpm(number))
        for gone in before.values():
            gone.forget_the_past()

    def keep_up(self, tier: Tier) -> None:
        """Look again where that is due.

        Raises:
            CallFailedError: the board told nothing; what was known stays.

        """
        if tier is Tier.SLOW or (tier is Tier.NORMAL and self._layout.is_enabled() is not self._is_enabled):
            self.look()
            for instance in self._instances.values():
                instance.doubtful.clear()

    def read(self, tier: Tier, errors: list[ReadError], uuid: str) -> Iterable[Reading]:
        """What the instances say, each under its number; errors are noted under the board's uuid.

        Raises:
            CallFailedError: the board or the driver is gone, or the layout cannot be read.

        """
        for instance in tuple(self._instances.values()):
            if not self.is_profiled:
                instance.forget_the_past()
            given = self._of_instance(instance, tier, errors, uuid)
            yield from ((metric, (*labels, str(instance.number)), value) for metric, labels, value in given)
        if tier is Tier.SLOW:
            yield from self._infos()

    def close(self) -> None:
        """Give back what the driver lent."""
        for instance in self._instances.values():
            instance.forget_the_past()

    # ---- the layout

    def _gpm(self, number: int) -> Gpm | None:
        """None where nothing tells the activity of an instance."""
        if self._pace is None:
            return None
        api, board = self._api, self._board
        return Gpm(api, lambda sample: api.call("nvmlGpmMigSampleGet", board, number, sample), self._pace)

    def _infos(self) -> Iterator[Reading]:
        for instance in self._instances.values():
            for part in instance.parts:
                about = (str(instance.number), str(part.compute_instance), part.uuid, part.profile)
                yield device.INSTANCE_INFO, about, 1.0

    # ---- one instance

    def _of_instance(self, instance: Instance, tier: Tier, errors: list[ReadError], uuid: str) -> list[Reading]:
        """What it answers; nothing if it turns out to be gone."""
        given: list[Reading] = []
        for key, ask in self._questions(instance, tier):
            failure = _failure(ask, given)
            if failure is not None and failure.code in STALE:
                if not self._is_still_there(instance):
                    return []
                failure = _failure(ask, given)  # once more, with the handles of now
            if failure is not None:
                errors += _judged(instance, key, failure, uuid)
        return given

    def _is_still_there(self, instance: Instance) -> bool:
        instance.forget_the_past()
        self.look()
        return self._instances.get(instance.number) is instance

    def _questions(self, instance: Instance, tier: Tier) -> Iterator[tuple[object, Callable[[], Iterable[Reading]]]]:
        """What an instance is asked in a tier: of the memory calls, the newer one until that proves unsupported."""
        if tier is Tier.FAST and instance.gpm is not None and self.is_profiled and instance.may_be_asked("gpm"):
            yield "gpm", instance.gpm.read
        elif tier is Tier.NORMAL:
            for getter in _MEMORY:
                if instance.may_be_asked(getter):
                    yield getter, partial(self._get, instance, getter)
                if instance.may_be_asked(getter):
                    return
        elif tier is Tier.SLOW and instance.may_be_asked("processes"):
            yield "processes", partial(self._processes, instance)

    def _get(self, instance: Instance, getter: Getter) -> Iterable[Reading]:
        """All parts share the memory: the first one tells it, unless its handle was given to another instance."""
        handle = instance.parts[0].handle
        if int(self._api.call("nvmlDeviceGetGpuInstanceId", handle)) != instance.number:
            raise self._api.failure(_NOT_FOUND, "nvmlDeviceGetGpuInstanceId: the handle is another instance's now")
        return getter.values(self._api.call(getter.function, handle, *getter.arguments))

    def _processes(self, instance: Instance) -> list[Reading]:
        lists = [self._api.call("nvmlDeviceGetComputeRunningProcesses", part.handle) for part in instance.parts]
        return [(device.PROCESSES, (), float(sum(map(len, lists))))]


def _failure(ask: Callable[[], Iterable[Reading]], given: list[Reading]) -> CallFailedError | None:
    """Ask and add what is given; else why nothing was."""
    try:
        given += ask()
    except CallFailedError as failure:
        return failure
    return None


def _judged(instance: Instance, key: object, failure: CallFailedError, uuid: str) -> list[ReadError]:
    """Remember what is unsupported, tell what failed, pass on what ends the reading of the whole board."""
    detail = f"GPU instance {instance.number}: {failure.detail}"
    if failure.code in STALE:  # though it is there, and the session with it: that one question is not for it
        instance.doubtful.add(key)
        return [ReadError(Verdict.UNSUPPORTED.value, detail, uuid)]
    if failure.verdict in _ENDS:
        raise failure
    if failure.verdict is Verdict.UNSUPPORTED:
        instance.unsupported.add(key)
    return [] if failure.verdict is Verdict.EMPTY else [ReadError(failure.verdict.value, detail, uuid)]
