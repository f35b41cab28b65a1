"""Ghosts: flow runs that ended without saying so, which no count of crashes can see.

Who is looked at (`suspects`), what is read of them (`sweep`), what a ghost is (`ghost`), and how
one is set CRASHED (`mark`). Whether a suspect is a ghost is decided where every run is explained,
in `explain`.
"""
