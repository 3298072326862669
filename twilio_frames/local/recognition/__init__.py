"""A recogniser of telephone speech that runs on a small grammar."""
