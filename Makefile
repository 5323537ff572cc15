# The front door: `make help` lists what there is. Each target is a script or a Python
# module that does one thing; here is only which one, and what it needs first.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# newest, oldest, or an ansible-core between them (2.18, 2.20): which of requirements/*.txt.
TOOLS ?= newest
export VENV := $(if $(filter newest,$(TOOLS)),.venv,.cache/venv-$(TOOLS))
python := $(VENV)/bin/python

# The lab's: how many servers, and which distribution (empty: the lab chooses and says why).
HOSTS ?= 1
DISTRO ?=
lab_distro := $(if $(DISTRO),--distro $(DISTRO))
# Molecule, the demo and the benchmark start the lab themselves; it reads this.
export LAB_DISTRO := $(or $(DISTRO),$(LAB_DISTRO))

.PHONY: help
help: ## Show this list
	@echo 'Usage: make TARGET [NAME=value]...'; echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r target text; do \
		printf '  %-13s %s\n' "$$target" "$$text"; done

.PHONY: demo
demo: venv ## Tune a real Alliance Auth server in a container, step by step
	@scripts/demo

.PHONY: test
test: venv ## Run all linters and unit tests, and show the main promises on real servers, side by side
	@$(python) -m scripts.jobs test

.PHONY: test-all
test-all: venv ## The same in all forms, and another distribution and the oldest ansible-core
	@$(python) -m scripts.jobs test-all

.PHONY: test-versions
test-versions: venv ## Run servers from Debian 11 to 14, and ansible-core from 2.16 to the newest
	@$(python) -m scripts.jobs test-versions

.PHONY: lint
lint: venv ## Run all linters, or one: CHECK=ruff
	@scripts/lint $(CHECK)

.PHONY: unit
unit: venv ## Run the unit tests; ARGS='-k words' go to pytest, TOOLS=oldest takes the oldest ansible-core, THOROUGH=1 draws more examples
	@scripts/unit $(ARGS)

.PHONY: molecule
molecule: venv ## Run the tests on real servers, or some of them: SCENARIO='default busy'
	@$(python) -m scripts.jobs molecule $(SCENARIO)

.PHONY: lab
lab: venv ## Start real Alliance Auth servers in containers: HOSTS=2 DISTRO=debian13
	@$(python) -m lab up --hosts $(HOSTS) $(lab_distro)

.PHONY: lab-stop
lab-stop: venv ## Remove every server that the lab has made
	@$(python) -m lab down --all

.PHONY: bench
bench: venv ## Measure what a run costs, and print it
	@$(python) -m bench

.PHONY: docs
docs: venv ## Make the documentation's site in .cache/docs/html; a warning is an error
	@scripts/docs

.PHONY: build
build: venv ## Build the collection's archive into dist/
	@scripts/build

.PHONY: venv
venv: prerequisites ## Install the tools into .venv, if their pins have changed, to be called by hand
	@scripts/venv "$(VENV)" "$(TOOLS)"
	@scripts/collection-link >/dev/null

# Certificates have no command; their bundle is where Debian and Arch, Fedora, or macOS have it.
packages := ca-certificates:/etc/ssl/certs/ca-certificates.crt:/etc/pki/tls/certs/ca-bundle.crt:/etc/ssl/cert.pem
packages += git:git openssh-client:ssh python3:python3
# All that are missing are told at once, and only linters need this one.
packages += $(if $(filter lint test test-all,$(MAKECMDGOALS)),shellcheck:shellcheck)

.PHONY: prerequisites
prerequisites:
	@scripts/prerequisites $(packages)
