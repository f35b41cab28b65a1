"""A close look at one crashed run of an incident, in its surroundings.

In: a flow run id. Out: an artifact. `scene` is what was seen, `parse` and `findings` decide what
it means, `render` writes it; `read_scene` and `run_triage` act.
"""
