"""The policy: what to count, when to open an incident, whom to notify, what may be done.

`policy`, `rule`, `actions`, `planned_silence` and `matching` are its values and checks, and
decide. `read_policy` reads it from its block, `write_project` copies the deployments' files:
they act.
"""
