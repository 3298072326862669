"""TwiML's verbs carried out, each family in a module of its own."""
