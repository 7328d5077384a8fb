"""How far a batch is as a whole: how many samples are in which state, and the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.batch_table import DONE, FAILED, RUNNING, STATES, WAITING, Row

STAGE = "samples"


def counts_of(rows: Sequence[Row]) -> dict[str, int]:
    """The number of samples in each of `STATES`, in their order."""
    found = Counter(row.seen_as for row in rows)
    return {state: found[state] for state in STATES}


def time_left_s(rows: Sequence[Row], now: float) -> float | None:
    """The time left in s, as long as samples have taken on average and as many run at once as now.

    None as long as no sample is done, or none runs although some wait.

    Parameters
    ----------
    rows : sequence of Row
        All of the batch.
    now : float
        In seconds since 1970, as `Row.began`.
    """
    running = [row for row in rows if row.state == RUNNING]
    waiting = sum(row.state == WAITING for row in rows)
    if not running and not waiting:
        return 0.0
    taken = [row.seconds for row in rows if row.state == DONE and row.seconds is not None]
    if not taken or not running:
        return None
    mean_s = sum(taken) / len(taken)
    begun_s = sum(max(0.0, mean_s - (now - (now if row.began is None else row.began))) for row in running)
    return (waiting * mean_s + begun_s) / len(running)


def tell_progress(rows: Sequence[Row], now: float, events: Events, is_running: bool = True) -> None:
    """One event for a progress bar, with the number of samples in each state and whether the batch runs."""
    left_s = time_left_s(rows, now)
    done = sum(row.state in (DONE, FAILED) for row in rows)
    eta_s = None if left_s is None else round(left_s, 1)
    more = {"counts": counts_of(rows), "is_running": is_running}
    events.emit("progress", stage=STAGE, done=done, total=len(rows), eta_s=eta_s, **more)
