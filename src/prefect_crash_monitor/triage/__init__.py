"""Triage: a deep look at one crashed run and at what happened around it.

`gather` reads, `reading` and `findings` decide, `render.triage` writes, `automation` starts it.
"""
