"""Observe: all crashes of a span, what became of them, and what could not be seen.

In: a half-open span `[start, end)`. Out: an `Observation`, whose gaps say why it may be partial.
`parse_crash` and `outcomes` decide; every `read_…` asks the API and changes nothing.
"""
