"""Publish: the monitor's own events and artifacts.

`events` says what an event holds, and decides. `send_events`, `send_metric` and
`write_artifacts` act; sent twice, an event is one.
"""
