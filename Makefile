.PHONY: check format test demo wheel

check: test
	ruff format --check
	ruff check
	lint-imports
	pyright

format:
	ruff check --fix
	ruff format

test:
	pytest

demo:
	twilio-frames demo

wheel:
	pip wheel --no-deps --wheel-dir dist .
