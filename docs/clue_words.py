"""Puts a rule's clue into words, read off the clue itself, so that the page cannot drift from it.

A clue is a function made by one of a few makers (`message`, `log`, `all_of`, ...): each maker has
words here, its patterns are shown as the texts they stand for. Clues that are plain functions say
in their docstring what they ask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import getclosurevars
from re import _parser  # type: ignore[attr-defined]  # the only reader of patterns there is
from typing import Any

from prefect_crash_monitor.explain.clues.clues import Clue
from prefect_crash_monitor.explain.clues.cluster import on_kubernetes
from prefect_crash_monitor.explain.clues.kubernetes import SIGNS
from prefect_crash_monitor.explain.rules import kubernetes as rules_kubernetes
from prefect_crash_monitor.explain.rules import process as rules_process
from prefect_crash_monitor.explain.rules import signatures as rules_signatures
from prefect_crash_monitor.text.format import duration

TEXTS = 10
"""Wordings of one pattern that are shown."""

VARIES = "…"

SHORT = {
    id(on_kubernetes): "it is a Kubernetes run",
    id(rules_process.generic): "the message is generic",
    id(rules_process.familiar): "the message is Prefect's own",
    id(rules_process.worker_logs): "its worker logged about it",
    id(rules_kubernetes.ended): "its end shows",
    id(rules_kubernetes.from_outside): "the message tells of no end of the process's own making",
    id(rules_kubernetes.not_started): "no container of the newest pod was started",
    **{id(sign.clue): "one of the signs is there" for sign in SIGNS},
}
"""Clues that many rules share, in words that the page explains once."""

URL = r"' for url '…/api/…'"
"""Instead of every address of Prefect's API."""

UNFINISHED = re.compile(r"""(?:\(["']?| ["'])$""")
"""An opening at the end of a text."""

Closure = Mapping[str, Any]


def words(clue: Clue) -> str:
    """What the clue asks, in words; short ones for clues that many rules share."""
    return SHORT.get(id(clue)) or in_full(clue)


def in_full(clue: Clue) -> str:
    """What the clue asks, also where there are short words for it."""
    maker = _maker(clue)
    return MAKERS[maker](_closure(clue)) if maker in MAKERS else _docstring(clue)


def alternatives(clue: Clue) -> list[str]:
    """The words of each part of an `any_of`; of any other clue, its only ones."""
    said = in_full(clue)
    if _maker(clue) == "any_of" and said.startswith("("):
        return [words(part) for part in _closure(clue)["clues"]]
    return [said]


def texts(pattern: re.Pattern[str] | str) -> list[str]:
    """The texts that a pattern stands for, each alternative once; `…` for what varies."""
    source = pattern if isinstance(pattern, str) else pattern.pattern
    compiled = re.compile(source.replace(rules_signatures.PREFECT_URL, URL))
    names = {index: name for name, index in compiled.groupindex.items()}
    found = _all(_parser.parse(compiled.pattern), names)
    tidy = (UNFINISHED.sub("", re.sub(f"{VARIES}+", VARIES, " ".join(t.split()))) for t in found)
    return [text for text in dict.fromkeys(tidy) if text]


def quoted(pattern: re.Pattern[str] | str, anything: str = "anything") -> str:
    """The pattern's texts as a phrase; `anything` where it asks for none in particular."""
    found = texts(pattern)
    if not set(found) - {VARIES}:
        return anything
    shown = [f"`{text}`" for text in found[:TEXTS]]
    rest = len(found) - TEXTS
    return _or([*shown, f"{rest} more"] if rest > 0 else shown)


def _all(tree: Iterable[tuple[Any, Any]], names: Mapping[int, str]) -> list[str]:
    """Varies one part at a time: all combinations would be very many, and tell no more."""
    parts = [_part(str(kind), value, names) or [""] for kind, value in tree]
    first = [part[0] for part in parts]
    found = ["".join(first)]
    for number, part in enumerate(parts):
        found += ["".join([*first[:number], text, *first[number + 1 :]]) for text in part[1:]]
    return found


def _part(kind: str, value: Any, names: Mapping[int, str]) -> list[str]:
    match kind:
        case "LITERAL":
            return [chr(value)]
        case "ANY":
            return ["."]  # a dot that nobody escaped
        case "IN":
            return _set(value)
        case "BRANCH":
            return [text for branch in value[1] for text in _all(branch, names)]
        case "SUBPATTERN":
            return _group(value, names)
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _repeated(*value, names)
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return [""]
        case _:
            return [VARIES]


def _set(members: Sequence[tuple[Any, Any]]) -> list[str]:
    kinds = {str(kind) for kind, _ in members}
    if [chr(value) for kind, value in members if str(kind) == "LITERAL"] == ["/", "\\"]:
        return ["/"]
    if kinds == {"LITERAL"} and len(members) <= 3:
        return [chr(value) for _, value in members]
    told = {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "N"}
    return [told.get(str(members[0][1]), VARIES) if len(members) == 1 else VARIES]


def _group(value: Sequence[Any], names: Mapping[int, str]) -> list[str]:
    """A named group is a fact that the explanation names; its few values are shown at once."""
    found = _all(value[-1], names)
    if value[0] not in names:
        return found
    varies = any(VARIES in text or not text for text in found)
    return [f"<{names[value[0]]}>" if varies else "/".join(found)]


def _repeated(least: int, most: Any, tree: Any, names: Mapping[int, str]) -> list[str]:
    found = _all(tree, names)
    if least == most == 1:
        return found
    if least == 0 and most == 1:
        return found if len(found[0]) == 1 and found != ["_"] else ["", *found]
    return [" "] if found == [" "] else [VARIES]


def _closure(function: Callable[..., Any]) -> Closure:
    return getclosurevars(function).nonlocals


def _maker(function: Callable[..., Any]) -> str:
    return function.__qualname__.partition(".<locals>")[0]


def _docstring(clue: Clue) -> str:
    """Without its full stop and the number of the ghost rule."""
    said = re.sub(r"^G\d: ", "", (clue.__doc__ or "").partition("\n")[0]).rstrip(".")
    return said if said.startswith("Kubernetes") else said[:1].lower() + said[1:]


def _or(items: Sequence[str]) -> str:
    return " or ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]


def _any_of(closure: Closure) -> str:
    """A signature is looked for in the message and, where that says nothing, in Prefect's log."""
    first, *others = closure["clues"]
    if not others:
        return words(first)
    if _maker(first) == "message" and len(others) == 1 and _maker(others[0]) == "all_of":
        generic, *rest = _closure(others[0])["clues"]
        said = _closure(first)["wanted"]
        if [_closure(clue).get("wanted") for clue in rest] == [[said]]:
            return f"the message, or Prefect's own log where {words(generic)}, says {quoted(said)}"
    return f"({', or '.join(map(words, closure['clues']))})"


def _message(closure: Closure) -> str:
    pattern = closure["wanted"].pattern
    if pattern.startswith(f"{rules_process.EXITED}(?P<code>"):
        (codes,) = texts(pattern.removeprefix(rules_process.EXITED))
        shown = "" if "<" in codes else _or([f" `{code}`" for code in codes.split("/")])
        return f"the message tells an exit code{shown.replace('  ', ' ')}"
    said = quoted(pattern, "")
    return f"the message says {said}" if said else "there is a message"


def _log(closure: Closure) -> str:
    level = _closure(closure["fits"])
    whose = {
        ".worker": "the worker's log",
        ".observer": "the observer's log",
        "": "the run's log",
    }[level.get("logger", "")]
    whose = "a line of Prefect's own" if _maker(closure["fits"]) == "engine_log" else whose
    said = " with ".join(quoted(pattern) for pattern in closure["wanted"])
    return f"{whose} says {said}"


def _raised(closure: Closure) -> str:
    types, text = quoted(closure["wanted"], "an exception"), closure["words"]
    with_text = "" if text.search("") else quoted(text, "")
    return f"the code raised {types}" + (f" with {with_text}" if with_text else "")


def _event(closure: Closure) -> str:
    asked = _closure(closure["fits"])
    labels = [f"{key} {quoted(value)}" for key, value in asked["wanted_labels"].items()]
    with_labels = f" with {' and '.join(labels)}" if labels else ""
    return f"there is an event {quoted(asked['wanted'])}{with_labels}"


def _newest_pod(closure: Closure) -> str:
    """The makers of clues about pods; each has the reasons it asks for in its closure."""
    asked = _closure(closure["fits"])
    said = {
        "waiting": "a container of the pod waits: ",
        "terminated": "a container of the pod ended: ",
        "exited": "a container of the pod ended with exit code ",
        "pod_reason": "Kubernetes gives the pod the reason ",
        "disruption": "the pod was disrupted: ",
    }[_maker(closure["fits"])]
    codes = asked.get("codes")
    return said + (_or([f"`{code}`" for code in codes]) if codes else quoted(asked["pattern"]))


def _cluster_event(closure: Closure) -> str:
    text = quoted(closure["text"], "")
    said = f"the cluster has an event {quoted(closure['wanted'])}"
    return f"{said} with {text}" if text else said


MAKERS: Mapping[str, Callable[[Closure], str]] = {
    "all_of": lambda it: "; ".join(map(words, it["clues"])),
    "any_of": _any_of,
    "none_of": lambda it: f"not where {words(it['some'])}",
    "quietly": lambda it: words(it["clue"]),
    "message": _message,
    "state_name": lambda it: f"the state is called `{it['name']}`",
    "raised": _raised,
    "_log": _log,
    "event": _event,
    "diagnosis": lambda it: f"the observer's diagnosis is {quoted(it['wanted'])}",
    "newest_pod": _newest_pod,
    "job_failed": lambda it: f"the Job failed: {quoted(it['pattern'])}",
    "cluster_event": _cluster_event,
    "still": lambda it: f"it has shown no sign of life for {duration(it['least'])}",
    "waited": lambda it: f"it has been PENDING for {duration(it['least'])}",
    "overdue": lambda it: f"it has been due for {duration(it['least'])}",
}
"""By the maker's name. A maker that is missing here makes the page fail, not lie."""
