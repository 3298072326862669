.PHONY: check format test demo docs wheel

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

docs:
	mkdocs build --strict

wheel:
	pip wheel --no-deps --wheel-dir dist .
