.PHONY: check snippets format test demo docs wheel

check: test
	ruff format --check
	ruff check
	lint-imports
	pyright
	$(MAKE) snippets

snippets:
	python -m tests.snippets build/snippets && pyright build/snippets

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
