"""The report: what a study found, shown in a terminal and on one page; it refuses to import model code."""

from __future__ import annotations
