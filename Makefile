# OTP Broker: the commands a person must know.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
IMAGE_WORK ?= /dev/shm/otpbroker-image

.PHONY: help run test check bench image test-image lock

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	shellcheck build.sh tools/*.sh examples/curl/*.sh .ci/run

bench: ## measure latency, throughput and cost on simulated modems
	@tools/setup.sh bench $(VENV) $(PYTHON)
	$(BIN)/python -m bench

image: ## build the SD card's image into dist/ (as root); ARGS="--profile ... --arch ... --board ..."
	@./build.sh image $(ARGS)

# In RAM, because it is quicker by far; needs root, 4 GB of it, and neither KVM nor loop partitions.
test-image: ## build the amd64 image and test it in virtual machines (as root)
	@tools/setup.sh test $(VENV) $(PYTHON)
	@tools/setup.sh test-image .venv-image $(PYTHON)
	@./build.sh image --arch amd64 --country ID --until image --work $(IMAGE_WORK)
	.venv-image/bin/python ansible/check.py
	$(BIN)/python -m pytest tests/image --work $(IMAGE_WORK) $(PYTEST_ARGS)

lock: ## resolve the locked requirements anew (needs uv)
	@tools/lock.sh
