"""Counts crashed Prefect flow runs exactly, explains them, and tells you once."""

from importlib.metadata import version

__version__ = version("prefect-crash-monitor")

__all__ = ["__version__"]
