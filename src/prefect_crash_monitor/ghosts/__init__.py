"""Ghosts: runs that ended without saying so.

In: runs that are unfinished and silent. Out: `Ghost`s with the proof, tracked until they are
sure. `ghost`, `candidates` and `tracking` decide; `read_…` looks at runs, `mark_crashed` sets
their state.
"""
