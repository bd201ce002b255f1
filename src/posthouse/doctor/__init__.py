"""From pasted words to a cause, who can fix it and the steps: pure, offline."""

from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import Context, Diagnosis, Finding, diagnose

__all__ = ["Cause", "Context", "Diagnosis", "Finding", "diagnose"]
