"""The calls of one server: let in, prepared, carried, counted, listened in on, ended."""
