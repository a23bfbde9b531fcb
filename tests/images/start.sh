#!/bin/bash
# Stays root. The gateway runs as the agent, with the variables of a file.
set -eu
install -d -o agent -g agent /home/agent/.gateway
printf '%s\n' "${GH_TOKEN:+GH_TOKEN=$GH_TOKEN}" >/home/agent/.gateway/env
nohup gosu agent bash -lc 'exec sleep infinity' >/dev/null 2>&1 &
exec molecule-runtime
