"""The table of causes: what each is called, why it happens, what to do, with which command."""
