"""The pages for those who run a server: the one to place a call from, and the console."""
