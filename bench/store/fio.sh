#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fio.sh FILE [SECONDS] - what fio reads of it: blocks of 2 MiB, sixteen readers, past the page cache, into huge pages.
# Writes GB/s.  Huge pages must be set aside first: echo 80 > /proc/sys/vm/nr_hugepages (as root).
set -eu
fio --name=read --filename="$1" --readonly --rw=read --direct=1 --bs=2m --ioengine=psync --numjobs=16 --thread \
    --offset_increment=6% --iomem=mmaphuge --runtime="${2:-1}" --time_based --group_reporting \
    --output-format=terse --terse-version=3 | awk -F';' '{ printf "%.3f\n", $7 * 1024 / 1e9 }'
