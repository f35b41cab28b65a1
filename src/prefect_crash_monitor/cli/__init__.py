"""The command line: what a person types, and what is printed.

In: arguments, a policy by name, times. Out: text or JSON on stdout, what is wrong on stderr, an
exit code of `errors`. `app` and `silence` declare commands, `handlers` carries them out, `text`
and `io` print. All of it acts; the other rooms decide what it prints.
"""

from prefect_crash_monitor.cli.app import app

__all__ = ["app"]
