#!/bin/sh
# Stand-in for an old script. If it runs, the broker isn't installed in its place.
echo "the old script ran" >&2
exit 7
