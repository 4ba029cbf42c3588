"""The classes of loop.metrics(): a snapshot, never updated."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LoopLatency:
    """How long callbacks waited, ready, until they ran; in seconds.

    Sampled once in 64 turns. The percentiles are exact to within 19 %.
    """

    samples: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class QueueLength:
    """How many callbacks were ready at the start of a turn."""

    now: int
    mean: float
    max: int


@dataclass(frozen=True, slots=True)
class TaskSwitches:
    """How often a task was resumed, and per second of running."""

    count: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a loop has counted since it was made; times in seconds."""

    loop_latency: LoopLatency
    queue_length: QueueLength
    task_switches: TaskSwitches
    iterations: int
    callbacks_run: int
    timers_scheduled: int
    timers_cancelled: int
    time_waiting: float
    time_active: float

    def as_dict(self) -> dict[str, Any]:
        """The same as nested dictionaries."""
        return asdict(self)


def from_core(
    latency: tuple[int, float, float, float, float, float],
    queue: tuple[int, float, int],
    switches: tuple[int, float],
    *rest: Any,
) -> Metrics:
    """Called by C, with plain values in the order of the fields."""
    return Metrics(
        LoopLatency(*latency),
        QueueLength(*queue),
        TaskSwitches(*switches),
        *rest,
    )
