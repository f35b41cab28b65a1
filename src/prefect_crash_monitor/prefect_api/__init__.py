"""The one door to the Prefect API.

`client` sends requests and turns what goes wrong into `errors`; `answers` refuses half an
answer; `parts` runs what a cycle can do without; `vocabulary` has the names that a server and
Prefect Cloud give to the same things. The room acts as a whole.
"""
