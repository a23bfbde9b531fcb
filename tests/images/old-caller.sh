#!/bin/bash
# Stand-in for a script of an image, written for the old helper. It runs every
# action in every way in which scripts call it. The test that runs it reads the
# lines that begin with "learned".
set -euo pipefail
helper=/app/scripts/molecule-git-token-helper.sh
refresher=/app/scripts/molecule-gh-token-refresh.sh

# The entrypoints keep the refresher alive like this.
(while true; do
    bash "$refresher"
    echo "learned respawned"
done) &

# Here-strings and no pipes: `store` ends without reading its input, as it always
# did, and the writer of a pipe would get SIGPIPE.
github=$'protocol=https\nhost=github.com\n'
password() { sed -n 's/^password=//p'; }
another() {
    for _ in $(seq 100); do
        new=$("$helper" _fetch_token)
        [ "$new" = "$1" ] || break
        sleep 0.1
    done
    echo "$new"
}

token=$(bash "$helper" _fetch_token)
echo "learned fetched $token"
echo "learned got $("$helper" get <<<"$github" | password)"
echo "learned got-without-action $(bash "$helper" <<<"$github" | password)"
echo "learned fetched-by-the-runtimes-copy $(bash ~/.molecule-runtime/scripts/molecule-git-token-helper.sh _fetch_token)"

GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=0 GIT_ASKPASS='' GIT_TERMINAL_PROMPT=0 \
    git -c credential.https://github.com.helper="!bash $helper" \
    ls-remote https://github.com/acme/app.git >/dev/null

used=$github"username=x-access-token"$'\n'"password=$token"
"$helper" store <<<"$used"
echo "learned fetched-after-store $("$helper" _fetch_token)"
bash "$helper" erase <<<"$used"
token=$(another "$token")
echo "learned fetched-after-erase $token"
"$helper" _invalidate_cache
token=$(another "$token")
echo "learned fetched-after-invalidate $token"

bash "$helper" _refresh_gh
echo "learned written-for-tools $(cat ~/.gh_token)"
echo "learned gh-is-logged-in $(sed -n 's/^ *oauth_token: //p' ~/.config/gh/hosts.yml)"
