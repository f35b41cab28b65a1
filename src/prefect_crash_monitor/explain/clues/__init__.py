"""Small questions put to evidence, of which the rules are made."""
