"""Remember: all that one cycle must know of those before it.

`ledger` is that as one bounded value, `outbox` the events that are not seen to have arrived:
they decide. `ledger_store` and `silence_store` keep them on the Prefect server: they act.
"""
