"""Count: from what was observed to the record of each interval, once and corrected.

In: an `Observation`. Out: `IntervalRecord`s. `schedule` says which intervals are due, `counted`
what stays of them, `corrections` what late events change, `gaps` what was never counted. All of
it decides.
"""
