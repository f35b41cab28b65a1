"""One monitoring cycle, from reading to notifying.

In: the API, a policy, the time. Out: counts, incidents, artifacts, events; the ledger for the
next cycle. `run_cycle` is the sentence: observe, explain, count, judge, tell. `snapshot` is all
that it saw, `decide` all that it decides; `read_snapshot` and `run_…` act.
"""
