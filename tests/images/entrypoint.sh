#!/bin/bash
# Fixes ownership and does the old credential set-up as root. Then starts itself
# again as the agent.
if [ "$(id -u)" = 0 ]; then
    chown -R agent:agent /configs
    git config --global credential.https://github.com.helper '!/app/scripts/molecule-git-token-helper.sh'
    git config --global credential.https://github.com.useHttpPath true
    cp /root/.gitconfig /home/agent/.gitconfig
    chown agent:agent /home/agent/.gitconfig
    exec gosu agent "$0" "$@"
fi

(while true; do
    /app/scripts/molecule-gh-token-refresh.sh
    sleep 30
done) &

if [ -n "$GITHUB_TOKEN" ]; then
    echo "$GITHUB_TOKEN" | gh auth login --hostname github.com --with-token
fi
exec molecule-runtime "$@"
