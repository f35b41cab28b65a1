"""The automations on the server: as wanted, the difference, and their registration."""
