"""aiosmtpd, if some interpreter has it: each message goes to a flushed file, and not on."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.programs import BenchError, free_ports
from bench.servers import Contender, Running, stop, wait_for_greeting

# Run by the other interpreter. A file for each message, as durable as ours: file, then directory.
_PROGRAM: Final = """
import asyncio, itertools, os, sys
from aiosmtpd.smtp import SMTP

directory, port = sys.argv[1], int(sys.argv[2])
numbers, place = itertools.count(), os.open(directory, os.O_RDONLY)

class Keep:
    async def handle_DATA(self, server, session, envelope):
        with open(f"{directory}/{next(numbers)}", "wb") as file:
            file.write(envelope.content)
            file.flush()
            os.fsync(file.fileno())
        os.fsync(place)
        return "250 kept"

async def main():
    loop, handler = asyncio.get_running_loop(), Keep()
    server = await loop.create_server(lambda: SMTP(handler, loop=loop), "127.0.0.1", port)
    await server.serve_forever()

asyncio.run(main())
"""


def aiosmtpd(directory: Path, python: str) -> Contender:
    """Return a server of that library.

    Raises:
        BenchError: If that interpreter does not have it.
    """
    asked = subprocess.run([python, "-c", "import aiosmtpd"], check=False, capture_output=True)
    if asked.returncode:
        raise BenchError(f"{python} has no aiosmtpd")
    return Contender("aiosmtpd", partial(_run, directory, python))


@contextmanager
def _run(directory: Path, python: str) -> Iterator[Running]:
    directory.mkdir(parents=True, exist_ok=True)
    port, began = free_ports(1)[0], time.monotonic()
    command = [python, "-c", _PROGRAM, str(directory), str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_greeting(port)
            yield Running("aiosmtpd", process.pid, {"smtp": port}, time.monotonic() - began)
        finally:
            stop(process)
