"""Act, where the policy allows it: retry a run, pause a deployment or pool, free a slot.

In: crashes, incidents, what was done before. Out: actions, each once. `plan` decides which are
due and why the others are not; `read_act_state` asks the server whether one is still right,
`execute_actions` does it, `free_own_slots` ends the monitor's own stranded runs: they act.
"""
