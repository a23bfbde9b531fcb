# For shells that `docker exec` opens: they never saw the entrypoint, and have
# the provisioner's frozen token and perhaps no askpass.
case ${GITHUB_TOKEN-} in ghs_*) unset GITHUB_TOKEN ;; esac
case ${GH_TOKEN-} in ghs_*) unset GH_TOKEN ;; esac
: "${GIT_ASKPASS:=/usr/local/bin/molecule-askpass}"
export GIT_ASKPASS
