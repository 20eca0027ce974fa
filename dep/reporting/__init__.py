"""What a person reads of a run: report.html, report.md and the tables in the terminal."""

from dep.reporting.page import write_report
from dep.reporting.terminal import print_given, print_table

__all__ = ["print_given", "print_table", "write_report"]
