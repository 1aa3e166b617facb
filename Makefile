# OTP Broker: the commands a person must know.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help run test check bench lock

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is needed and run the demo: agent, REST, admin site, two simulated modems
	@tools/setup.sh run $(VENV) $(PYTHON)
	@exec $(BIN)/otpbroker demo

test: ## install what is needed, check the code and pass every test
	@tools/setup.sh test $(VENV) $(PYTHON)
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: ## lint, types, layers, shell scripts
	@tools/setup.sh test $(VENV) $(PYTHON)
# Its cache does not notice that a module moved, and with it the order of imports elsewhere.
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	shellcheck tools/*.sh .ci/run

bench: ## measure latency, throughput and cost on simulated modems
	@tools/setup.sh run $(VENV) $(PYTHON)
	$(BIN)/python -m bench

lock: ## resolve the locked requirements anew (needs uv)
	@tools/lock.sh
