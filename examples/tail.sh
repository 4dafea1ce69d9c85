#!/bin/sh
# Each event as a line, headers, key and value, from the oldest on: sh examples/tail.sh HOST:PORT [PREFIX]
set -eu
exec kcat -b "$1" -C -t "${2:-shipfeed}.events" -o beginning -u -q \
    -X isolation.level=read_committed -f '%h\t%k\t%s\n'
