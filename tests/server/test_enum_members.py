"""The server does without the hook that Python 3.11 asks at each `Enum.MEMBER`."""

import subprocess
import sys

PROGRAM = """
import importlib, pkgutil
from enum import Enum, EnumType, Flag, StrEnum
import posthouse
from posthouse.server.running import look_members_up_at_once

for module in pkgutil.walk_packages(posthouse.__path__, "posthouse."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
look_members_up_at_once()
look_members_up_at_once()

class Later(StrEnum):
    name_ = "a"
    other = "b"

def all_of(kind):
    for one in kind.__subclasses__():
        yield one
        yield from all_of(one)

count = 0
for kind in all_of(Enum):
    for name, member in kind.__members__.items():
        assert getattr(kind, name) is member, (kind, name)
        assert kind[name] is member
        count += 1
assert count > 300, count
assert Later.other.value == "b" and Later("a") is Later.name_
try:
    Later.missing
except AttributeError:
    pass
else:
    raise AssertionError("found what is not there")
assert "__getattr__" not in vars(EnumType)
"""


def test_every_member_of_every_enum_is_found_without_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
