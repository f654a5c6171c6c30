"""Values that every room speaks in: frozen, standard library only, no input or output."""
