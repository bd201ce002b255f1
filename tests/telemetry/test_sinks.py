import io
import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.telemetry import sinks
from posthouse.telemetry.events import Connected, Level, LogEvent, Noted, Refused, SignInFailed
from posthouse.telemetry.sinks import FileSink, LineSink, Log, Moment, console_line, json_line

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOSTILE = "\x1b]0;title\x07 \u202egnp.exe\r\nfake line \x9b31m\ud800\x7f"


Form = Callable[[datetime, LogEvent], str]


class PatientSink:
    """Writes nothing until it is let."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.told: list[LogEvent] = []

    def write(self, moments: Iterable[Moment]) -> None:
        self.go.wait(10)
        self.told += [event for _, event in moments]

    def close(self) -> None:
        pass


def test_json_has_the_moment_the_event_and_its_fields() -> None:
    line = json_line(NOON, Noted("all is well"))
    assert json.loads(line) == {
        "at": "2026-05-04T12:00:00.000Z",
        "level": "info",
        "event": "noted",
        "text": "all is well",
    }


def test_the_console_leaves_out_what_is_empty() -> None:
    event = Refused(
        "K3M9ZT2Q", "recipient", "refuse", "not-recognised", "550 5.7.1 no", "192.0.2.7"
    )
    assert console_line(NOON, event) == (
        "12:00:00 refused case=K3M9ZT2Q stage=recipient verdict=refuse reason=not-recognised"
        ' reply="550 5.7.1 no" client=192.0.2.7'
    )


@given(st.timedeltas(timedelta(0), timedelta(days=36_500)), st.timezones())
def test_the_moment_is_told_to_the_millisecond_in_utc(later: timedelta, zone: tzinfo) -> None:
    at = (NOON + later).astimezone(zone)
    told = json.loads(json_line(at, Noted("well")))["at"]
    wanted = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert told == wanted


@pytest.mark.parametrize("form", [json_line, console_line])
@given(text=st.text(st.characters()) | st.just(HOSTILE))
def test_hostile_text_stays_in_its_place(form: Form, text: str) -> None:
    line = form(NOON, SignInFailed("s", "192.0.2.7", "mx", text, "sign-in-failed"))
    assert line.isprintable()
    if form is json_line:
        assert line.isascii()
        assert json.loads(line)["account"] == text


def test_events_are_written_in_order_and_all_of_them_at_close() -> None:
    stream = io.StringIO()
    log = Log(LineSink(json_line, stream), now=lambda: NOON)
    for number in range(2000):
        log.tell(Noted(str(number)))
    log.close()
    texts = [json.loads(line)["text"] for line in stream.getvalue().splitlines()]
    assert texts == [str(number) for number in range(2000)]
    assert log.dropped == 0


def test_events_below_the_level_are_left_out() -> None:
    stream = io.StringIO()
    log = Log(LineSink(json_line, stream), least=Level.INFO)
    assert not log.wants(Level.DEBUG)
    log.tell(Connected("s", "192.0.2.7", "mx"))
    log.close()
    assert stream.getvalue() == ""


def test_a_slow_sink_does_not_hold_up_mail_and_what_was_dropped_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sinks, "WAITING_MAX", 10)
    sink = PatientSink()
    log = Log(sink)
    for number in range(1000):
        log.tell(Noted(str(number)))
    assert log.dropped > 900
    sink.go.set()
    log.close()
    told = [event for event in sink.told if isinstance(event, Noted)]
    assert len(told) + log.dropped == 1000
    assert any(event.name == "events-dropped" for event in sink.told)


def test_a_sink_that_never_takes_anything_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "CLOSE_SECONDS", 0.05)
    sink = PatientSink()
    log = Log(sink)
    log.tell(Noted("x"))
    log.close()
    sink.go.set()


class BrokenStream(io.StringIO):
    broken = True

    def flush(self) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")


def test_a_full_disk_loses_lines_but_never_mail() -> None:
    stream = BrokenStream()
    log = Log(LineSink(json_line, stream))
    log.tell(Noted("lost"))
    while not log.dropped:
        pass
    stream.broken = False
    log.tell(Noted("kept"))
    log.close()
    assert log.dropped == 1
    assert "kept" in stream.getvalue()


def test_a_rotated_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "posthouse.log"
    sink = FileSink(console_line, path)
    sink.write([(NOON, Noted("one"))])
    path.rename(tmp_path / "posthouse.log.1")
    sink.write([(NOON, Noted("two"))])
    sink.close()
    assert (tmp_path / "posthouse.log.1").read_text() == "12:00:00 noted text=one\n"
    assert path.read_text() == "12:00:00 noted text=two\n"


def test_a_line_goes_to_standard_error_when_nothing_else_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = Log(LineSink(console_line), now=lambda: NOON)
    log.tell(Noted("hello"))
    log.close()
    assert capsys.readouterr().err == "12:00:00 noted text=hello\n"
