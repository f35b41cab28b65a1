"""The deployable project: `prefect.yaml`, `flows/` and `blocks/`.

In a wheel the files lie within this package, in a checkout at its top; both are the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prefect_crash_monitor.errors import BadInput

PROJECT_PARTS = ("prefect.yaml", "flows", "blocks")


def write_project(directory: Path) -> list[Path]:
    """Writes the deployable project and returns the files written.

    Raises:
        BadInput: a file is there already, or no directory can be; nothing is written then.
    """
    source = _source()
    files = list(_files(source))
    targets = {file: directory / file.relative_to(source) for file in files}
    taken = [str(target) for target in targets.values() if target.exists()]
    if taken:
        raise BadInput(f"Not overwritten: {', '.join(taken)}. Choose an empty directory.")
    try:
        for target in targets.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        for file, target in targets.items():
            target.write_bytes(file.read_bytes())
    except OSError as error:
        raise BadInput(f"Cannot write to {error.filename}: {error.strerror}.") from error
    return list(targets.values())


def _source() -> Path:
    packaged = Path(__file__).parents[1] / "project"
    return packaged if packaged.is_dir() else Path(__file__).parents[3]


def _files(source: Path) -> Iterator[Path]:
    for part in PROJECT_PARTS:
        path = source / part
        yield from [path] if path.is_file() else sorted(path.glob("*.py"))
