# SPDX-License-Identifier: Apache-2.0
# Mixt: the front door.  Real work is done by CMake (CMakePresets.json); this file knows the order.
# It must work where nothing but git and build-essential is installed.
SHELL   := /bin/bash
PRESET  ?= release
PREFIX  ?= /usr/local
MINUTES ?= 10
T       ?= gguf
JOBS    ?= $(shell nproc)
BUILT   := build/$(PRESET)
MIXT    := $(BUILT)/apps/mixt
FUZZED  ?= build/fuzz-found

.DEFAULT_GOAL := help
.PHONY: help deps run build check tidy bench fuzz install deb clean format \
        asan-check ubsan-check tsan-check hostile-check debug-check neon-check

help:   ## this screen
	@echo 'Mixt: run sparse mixture-of-experts language models.  First try: make run'
	@echo
	@sed -n 's/^\([a-z-]*\): .*## *\(.*\)/  make \1\t\2/p' Makefile | expand -t 24
	@echo
	@echo '  PRESET=release|debug|asan|ubsan|tsan|hostile   JOBS=$(JOBS)   PREFIX=$(PREFIX)'
	@echo '  MIXT_TEST_DATA=FOLDER   where tests find real weights and tokenizers (../shared/data)'

deps:   ## install the Debian packages that building and testing need
	@tools/deps build test

run:    ## build, and let the model in the program tell a story
	@tools/deps build
	@test -f $(BUILT)/build.ninja || cmake --preset $(PRESET) -DMIXT_TESTS=OFF
	@cmake --build --preset $(PRESET) --parallel $(JOBS) --target mixt
	@echo
	$(MIXT) run wren "Once upon a time there was a little fox who" -n 160 --experts </dev/null

build:  ## build everything, tests included
	@tools/deps build test
	@cmake --preset $(PRESET) -DMIXT_TESTS=ON
	@cmake --build --preset $(PRESET) --parallel $(JOBS)

check: build    ## run every test
	@test -d "$${MIXT_TEST_DATA:-../shared/data}" || \
	    echo 'No folder $${MIXT_TEST_DATA:-../shared/data}: tests that want real weights or tokenizers skip.'
	@ctest --preset $(PRESET) --parallel $(JOBS)

debug-check: ; @$(MAKE) check PRESET=debug
asan-check: ; @$(MAKE) check PRESET=asan        ## the same under AddressSanitizer and LeakSanitizer
ubsan-check: ; @$(MAKE) check PRESET=ubsan      ## ... UndefinedBehaviorSanitizer
tsan-check: ; @$(MAKE) check PRESET=tsan        ## ... ThreadSanitizer
hostile-check: ; @$(MAKE) check PRESET=hostile  ## ... with tiny pages, caches and reads, memory poisoned

neon-check:     ## the kernels for ARM, built by a cross compiler and run by qemu
	@tools/deps build arm
	@cmake -S tests/kernel/aarch64 -B build/neon -G Ninja -DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/cmake/aarch64.cmake
	@cmake --build build/neon --parallel $(JOBS)
	@qemu-aarch64-static build/neon/check_kernels --set neon

tidy:   ## layers, exported symbols, clang's opinion
	@tools/deps build test tidy
	@cmake --preset $(PRESET) -DMIXT_TESTS=ON
	@cmake --build --preset $(PRESET) --parallel $(JOBS)
	@tools/tidy $(BUILT)

fuzz:   ## fuzz one parser: make fuzz T=gguf MINUTES=10 (what it finds goes to build/fuzz-found/)
	@tools/deps build test fuzz
	@cmake --preset fuzz >/dev/null
	@cmake --build --preset fuzz --parallel $(JOBS) --target fuzz_$(T)
	@tools/fuzz build/fuzz/tests/fuzz/fuzz_$(T) tests/fuzz/corpus/$(T) $(FUZZED)/$(T) $(MINUTES)

bench:  ## measure this machine: kernels, steps
	@tools/deps build test
	@cmake --preset release -DMIXT_TESTS=ON
	@cmake --build --preset release --parallel $(JOBS) --target mixt check_kernels
	@bench/run build/release

install:    ## install the program, the library and their pages under PREFIX
	@tools/deps build
	@test -f $(BUILT)/build.ninja || cmake --preset $(PRESET) -DMIXT_TESTS=OFF
	@cmake --build --preset $(PRESET) --parallel $(JOBS)
	@cmake --install $(BUILT) --prefix $(PREFIX)

deb:    ## a Debian package in build/
	@tools/deps build deb
	@cmake -S . -B build/deb -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr -DMIXT_TESTS=OFF
	@cmake --build build/deb --parallel $(JOBS)
	@cd build && cpack --config deb/CPackConfig.cmake

format: ## lay out the files you name: make format FILES="src/base/map.c"
	@test -n "$(FILES)" || { echo 'make format: expected FILES="...", found none (tables laid out by hand stay)'; exit 64; }
	clang-format -i $(FILES)

clean:  ## remove build/
	rm -rf build
