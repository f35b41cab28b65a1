"""Which answers of clues make a cause, one row a cause, by kind of trouble."""
