"""What a step costs: its duration and its peak memory, as metadata of its asset.

Belongs here: measuring. Does not: goals, comparisons (the benchmarks).
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def reset_peak() -> None:
    """Start to measure the peak memory of this process anew, where the system can do that (Linux)."""
    try:
        _CLEAR.write_text("5")
    except OSError:  # no Linux, or forbidden in a container: the peak is that of the process so far
        return


def peak_mb() -> float | None:
    """Return the peak resident memory of this process since `reset_peak`, in MB; None where it is unknown."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return round(kilobytes[0] / 1024, 1) if kilobytes else None


@dataclass(frozen=True)
class StepCosts:
    """Measures a step from its creation on."""

    start: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        reset_peak()

    def metadata(self) -> dict[str, float]:
        """Return `seconds`, and `peak_mb` where the system tells it."""
        seconds, peak = round(time.perf_counter() - self.start, 3), peak_mb()
        return {"seconds": seconds} if peak is None else {"seconds": seconds, "peak_mb": peak}
