"""Speech services that need no key and no network: the `local` extra."""
