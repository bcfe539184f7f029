"""The report of studies: a page each, and a site of several; it refuses to read anything but what the studies' cells hold."""

from foreword.report.study.page import study_page, write_study
from foreword.report.study.site import write_site
from foreword.report.study.values import StudyPage

__all__ = ["StudyPage", "study_page", "write_site", "write_study"]
