"""NVLinks that err more than their siblings, or are down where comparable boards have them up.

Errors are held against the other links of the same device, because a noisy cable or connector is one link and not
twelve; where an exporter tells one number for all of them (dcgm-exporter), against those of the median device. A link
is down only where it was up before or where most boards of the model have it up: boards on PCIe have links that nothing
is connected to (NVSentinel PR 1481).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.wording import count, device_name, listed, span
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.analyzer.health.judging import columns_of, detection, on_device, start_of
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.detection import Candidate, Detection
    from warpgauge.analyzer.detection.windows import Array, Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats
    from warpgauge.core.catalog import Metric

__all__ = ["LinkErrors"]

WINDOW_SECONDS: Final = 600.0
RAISE_ERRORS: Final = 10.0  # on one link in the window: one a minute
HOLD_ERRORS: Final = 5.0
SIBLING_RATIO: Final = 10.0  # times the median of the device's links
RECOVERIES: Final = 1.0  # a recovery stops all traffic of the link, so one counts
LEAST_DEVICES: Final = 4  # that tell what is usual where a device has one number for all its links
PEER_SHARE: Final = 0.5  # of the model's boards that have the link up
LEAST_PEERS: Final = 2
FRESH_SECONDS: Final = 300.0
CONFIDENCE: Final = 0.9


class LinkErrors:
    """Names devices with a bad NVLink."""

    name = "link_errors"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device that counts errors of its links or reports their state."""
        links, errors, recoveries = _errors(frame)
        is_judged = np.isfinite(errors).any(axis=0) if len(links) else np.zeros(len(frame.devices), dtype=bool)
        candidates = {
            row: _noisy(frame, row, links, errors[:, row], recoveries[:, row], usual=float(_usual(errors)[row]))
            for row in _noisy_rows(errors, recoveries)
        }
        down, has_state = _down(frame)
        for row, names in down.items():
            candidates[row] = _dead(frame, row, names)
        what = "devices, for errors and state of their NVLinks"
        missing = (device.LINK_ERRORS, device.LINK_STATE)
        return detection(
            frame,
            self.name,
            what,
            list(candidates.values()),
            is_judged | has_state,
            seconds=WINDOW_SECONDS,
            needs=missing,
        )


def _errors(frame: Frame) -> tuple[list[str], Array, Array]:
    """Names of links; errors [link, device] in the window (NaN: not counted), recoveries among them.

    Where no device has any error, one row stands for all links: a board has eighteen, each with several counters.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for link, kind in frame.channels(device.LINK_ERRORS):
        kinds[link].append(kind)
    links = sorted(kinds, key=lambda name: (len(name), name))
    at_all = frame.window(_greatest(frame, device.LINK_ERRORS), WINDOW_SECONDS)
    if not (at_all.total * frame.step_seconds >= RECOVERIES / 2).any():
        return links, np.where(at_all.count > 0, 0.0, np.nan)[None, :], np.zeros((1, len(frame.devices)))
    totals = np.full((len(links), len(frame.devices)), np.nan)
    recoveries = np.zeros_like(totals)
    for at, link in enumerate(links):
        for kind in kinds[link]:
            seen = frame.window(channel(device.LINK_ERRORS, link, kind), WINDOW_SECONDS)
            grown = seen.total * frame.step_seconds
            totals[at] = np.where(seen.count > 0, np.nan_to_num(totals[at]) + grown, totals[at])
            if kind == "recovery":
                recoveries[at] += grown
    return links, totals, recoveries


def _greatest(frame: Frame, metric: Metric, *extras: tuple[str, ...]) -> Signal:
    """The greatest of a metric's channels, of all of them if none is named."""
    chosen = extras or tuple(frame.channels(metric))

    def read(columns: Columns) -> Floats:
        greatest: Floats = np.fmax.reduce([columns.of(metric, *extra) for extra in chosen or ((),)])
        return greatest

    return Signal(f"greatest of {metric.name} {' '.join('/'.join(extra) for extra in chosen)}", TableName.DEVICES, read)


def _noisy_rows(errors: Array, recoveries: Array) -> list[int]:
    if not len(errors):
        return []
    usual = _usual(errors)
    worst = np.fmax.reduce(errors, axis=0)
    stands_out = (worst >= HOLD_ERRORS) & (worst >= SIBLING_RATIO * usual)
    return [int(row) for row in np.flatnonzero(stands_out | (recoveries.max(axis=0) >= RECOVERIES - 0.01))]


def _usual(errors: Array) -> Array:
    """[device], errors of its median link; where one number stands for all its links, of the median device."""
    of_links = np.nan_to_num(np.median(np.nan_to_num(errors), axis=0))
    is_sum = np.isfinite(errors).sum(axis=0) == 1
    sums = np.fmax.reduce(errors, axis=0)[is_sum]
    return np.where(is_sum, np.median(sums) if len(sums) >= LEAST_DEVICES else 0.0, of_links)


def _noisy(  # noqa: PLR0913 - what is known of a device's links
    frame: Frame, row: int, links: list[str], errors: Array, recoveries: Array, *, usual: float
) -> Candidate:
    has_recovered = recoveries.max() >= RECOVERIES - 0.01
    at = int(np.argmax(recoveries)) if has_recovered else int(np.nanargmax(errors))
    is_sum = int(np.isfinite(errors).sum()) == 1
    worst = float(errors[at])
    since = _began(frame, row, links[at])
    recovered = f", {count(round(float(recoveries[at])), 'recovery')} of the link among them" if has_recovered else ""
    recovered = recovered.replace("recoverys", "recoveries")
    return on_device(
        frame,
        row,
        FindingKind.LINK_ERRORS,
        Severity.WARNING,
        since=since,
        confidence=CONFIDENCE,
        evidence=[
            measured(
                device.LINK_ERRORS,
                worst,
                unit="errors",
                labels="" if is_sum else f'{{link="{links[at]}"}}',
                baseline=usual,
                threshold=RECOVERIES if has_recovered else max(RAISE_ERRORS, SIBLING_RATIO * usual),
                window_seconds=WINDOW_SECONDS,
            )
        ],
        summary=f"{device_name(frame.devices.entities[row])}: {'its NVLinks' if is_sum else f'NVLink {links[at]}'} had"
        f" {count(round(worst), 'error')} in the last {span(WINDOW_SECONDS)}{recovered},"
        f" {'the median device' if is_sum else f'the median of its {len(links)} links'} had {usual:.0f}.",
        remedy="Look at both ends of the link (nvidia-smi nvlink -e -i INDEX; the switch's counters). When the node"
        " is free:"
        " reset the device, reseat it or the cable, and test the link before long jobs return.".replace(
            "INDEX", str(frame.devices.entities[row].index)
        ),
        raises=has_recovered or worst >= RAISE_ERRORS,
    )


def _began(frame: Frame, row: int, link: str) -> float:
    kinds = [kind for name, kind in frame.channels(device.LINK_ERRORS) if name == link]
    rates = np.fmax.reduce([frame.values(device.LINK_ERRORS, link, kind, rows=row) for kind in kinds])
    recent = np.flatnonzero(rates[-columns_of(frame, WINDOW_SECONDS) :] > 0)
    return (
        start_of(frame, len(rates) - columns_of(frame, WINDOW_SECONDS) + int(recent[0])) if len(recent) else frame.now
    )


# ---- links that are down


def _down(frame: Frame) -> tuple[dict[int, list[str]], Mask]:
    """Devices with the links that are down and should not be; which devices report any state."""
    states = [extra for extra in frame.channels(device.LINK_STATE) if extra[1] in {"active", "inactive"}]
    has_state = frame.window(_greatest(frame, device.LINK_STATE, *states), FRESH_SECONDS).count > 0
    down: dict[int, list[str]] = defaultdict(list)
    ill = [extra for extra in states if extra[1] == "inactive"]
    if not (frame.window(_greatest(frame, device.LINK_STATE, *ill), FRESH_SECONDS).peak == 1).any():
        return {}, has_state
    for link in dict.fromkeys(extra[0] for extra in frame.channels(device.LINK_STATE)):
        active = frame.latest(device.LINK_STATE, link, "active", seconds=FRESH_SECONDS)
        inactive = frame.latest(device.LINK_STATE, link, "inactive", seconds=FRESH_SECONDS)
        for row in np.flatnonzero(inactive == 1).tolist():
            if _was_up(frame, row, link) or _is_up_elsewhere(_models(frame)[models_of(frame, row)], active, row):
                down[row].append(link)
    return dict(down), has_state


def models_of(frame: Frame, row: int) -> str:
    """Model of a device."""
    return frame.devices.entities[row].model


def _models(frame: Frame) -> dict[str, NDArray[np.intp]]:
    """Rows of the devices of each model."""
    return frame.once("devices by model", lambda: _by_model(frame), frame.devices.changes)


def _by_model(frame: Frame) -> dict[str, NDArray[np.intp]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, entity in enumerate(frame.devices.entities):
        rows[entity.model].append(row)
    return {model: np.array(members, dtype=np.intp) for model, members in rows.items()}


def _was_up(frame: Frame, row: int, link: str) -> bool:
    return bool((frame.values(device.LINK_STATE, link, "active", rows=row) == 1).any())


def _is_up_elsewhere(peers: NDArray[np.intp], active: Array, row: int) -> bool:
    others = active[peers[peers != row]]
    known = others[np.isfinite(others)]
    return len(known) >= LEAST_PEERS and float((known == 1).mean()) > PEER_SHARE


def _dead(frame: Frame, row: int, links: list[str]) -> Candidate:
    entity = frame.devices.entities[row]
    shown = frame.values(device.LINK_STATE, links[0], "inactive", rows=row) == 1
    since = start_of(frame, int(np.flatnonzero(shown)[0]))
    which = f"NVLink {links[0]} is" if len(links) == 1 else f"NVLinks {listed(links)} are"
    return on_device(
        frame,
        row,
        FindingKind.LINK_ERRORS,
        Severity.CRITICAL,
        since=since,
        confidence=CONFIDENCE,
        evidence=[
            measured(
                device.LINK_STATE,
                float(len(links)),
                unit="links",
                labels='{state="inactive"}',
                baseline=0.0,
                threshold=1.0,
                window_seconds=FRESH_SECONDS,
            )
        ],
        summary=f"{device_name(entity)}: {which} down, while"
        " comparable boards or its own past have it up; jobs over several devices run slower or fail.",
        remedy=f"nvidia-smi nvlink -s -i {entity.index} on the node; see that the fabric manager runs. Reset the"
        " device when it is free; if the link stays down, have board, cable or baseboard inspected.",
    )
