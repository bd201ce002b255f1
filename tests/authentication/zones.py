"""DNS as a dictionary."""

from collections.abc import Mapping, Sequence

from posthouse.authentication.lookups import LookUp, LookUpError, Records, RecordType

Zone = Mapping[str, Sequence[tuple[str, str]]]


def look_up_in(zone: Zone, asked: list[str] | None = None) -> LookUp:
    """Names that contain "slow" are temporarily unknown; `asked` gets the names."""

    async def look_up(name: str, kind: RecordType) -> Records:
        if asked is not None:
            asked.append(name)
        if "slow" in name:
            raise LookUpError(f"no name server answered about {name}")
        key = name.lower().rstrip(".")
        if key not in zone:
            return Records(exists=any(each.endswith("." + key) for each in zone))
        return Records(tuple(value for each, value in zone[key] if each == kind))

    return look_up
