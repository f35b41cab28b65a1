"""The values that every room speaks of: crashes, intervals, incidents, groups of runs.

Frozen, without Prefect and without I/O. `codec` turns them into JSON and back. Nothing here
imports another room. All of it decides.
"""
