"""A counter over a process and its descendants, who come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from warpgauge.exporters.attribution.kin import Kin

__all__ = ["FamilyCounter"]


class FamilyCounter:
    """Adds up what each member used since the last time, from values that hold what ended children used.

    What somebody had used who ended was counted already and now stands in the value of who waited for it, so that is
    taken off there. Who becomes the head of a family of their own takes along only what comes.
    """

    def __init__(self) -> None:
        self._last: Mapping[Kin, float] = {}
        self._told: dict[Kin, float] = {}
        self._owed: dict[Kin, float] = {}  # taken off too early: no two processes are read at the same moment

    def advance(
        self,
        families: Mapping[Kin, Sequence[Kin]],
        values: Mapping[Kin, float],
        born: Collection[Kin],
        heirs: Mapping[Kin, Kin],
    ) -> dict[Kin, float]:
        """By head, what its family has used since it is one, never less than before; without those lacking a value.

        `born` are members who began since the last time: all that they used is new. `heirs` gives for those who ended
        since the head of the family of whoever waited for them.
        """
        whole = {head: members for head, members in families.items() if all(one in values for one in members)}
        inherited = dict.fromkeys(families, 0.0)
        for gone, head in heirs.items():
            inherited[head] += self._last.get(gone, 0.0)
        for head, members in whole.items():
            if head not in self._told:
                self._told[head], self._owed[head] = sum(values[one] for one in members), 0.0
                continue
            grown = sum(values[one] - self._last.get(one, 0.0 if one in born else values[one]) for one in members)
            due = grown - inherited[head] + self._owed[head]
            self._told[head] += max(due, 0.0)
            self._owed[head] = min(due, 0.0)
        for head in self._told.keys() - families.keys():
            del self._told[head], self._owed[head]
        self._last = values
        return {head: self._told[head] for head in whole}
