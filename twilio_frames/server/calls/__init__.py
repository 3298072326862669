"""The calls of one server: prepared, carried, counted, ended."""
