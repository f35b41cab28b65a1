"""Placeholder so that the tree imports; its owner replaces it."""


def redact(text: str) -> str:
    """Text without secrets."""
    return text
