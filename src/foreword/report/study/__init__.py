"""The report of studies: a page each, and a site of several; it refuses to read anything but what the studies' cells hold."""

from foreword.report.study.values import StudyPage

__all__ = ["StudyPage"]
