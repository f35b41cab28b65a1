"""Crash rates: how many of a deployment's runs crash, against what it usually loses. Decides."""
