"""Writes the reports of a run: report.html, report.md and the tables in the terminal."""

from dep.reporting.page import write_report
from dep.reporting.terminal import print_costs, print_table

__all__ = ["print_costs", "print_table", "write_report"]
