"""Takes secrets out of text and JSON before anything is shown, stored or sent.

In: any text. Out: the text with `***` for each secret. The rows that are applied, in order, stand
in `patterns` (names and headers), `vendors` (tokens), `calls` and `places`; `values` judges whether
a value is a secret or says nothing. All of it decides; nothing reads or writes.
"""

from prefect_crash_monitor.redaction.redact import is_secret_name, redact, redact_json

__all__ = ["is_secret_name", "redact", "redact_json"]
