"""Requests watched: is what comes in like what a prompt was tuned on, and are the answers as they were; it refuses to alarm more often
than it says."""

from foreword.monitor.against import Against, Encoder, against
from foreword.monitor.observations import Observation, observations_of, read_log
from foreword.monitor.profile import Profile, profile_of, read_profile
from foreword.monitor.run import Monitored, MonitorSettings, monitored
from foreword.monitor.sketch import Sketch
from foreword.monitor.windows import Rule, Window, reference_of, window_of, windows_of

__all__ = [
    "Against",
    "Encoder",
    "MonitorSettings",
    "Monitored",
    "Observation",
    "Profile",
    "Rule",
    "Sketch",
    "Window",
    "against",
    "monitored",
    "observations_of",
    "profile_of",
    "read_log",
    "read_profile",
    "reference_of",
    "window_of",
    "windows_of",
]
