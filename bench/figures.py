"""One measurement of one server."""

from msgspec import Struct


class Figure(Struct, frozen=True):
    """One measurement of one server.

    Attributes:
        rate: Of the workload's unit; more is better, unless the workload says less.
        relayed: Messages a second until the last one was at the sink; 0 if none goes there.
        p50_ms: Time of one transaction, median.
        p99_ms: The same, one of a hundred is slower.
        cpu_us: CPU time of the server for a message.
        memory_kib: What the workload says of memory.
    """

    rate: float
    relayed: float = 0
    p50_ms: float = 0
    p99_ms: float = 0
    cpu_us: float = 0
    memory_kib: float = 0
