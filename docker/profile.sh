# For shells that `docker exec` opens: they don't have the entrypoint's
# environment, but the provisioner's frozen token and perhaps no askpass.
case ${GITHUB_TOKEN-} in ghs_*) unset GITHUB_TOKEN ;; esac
case ${GH_TOKEN-} in ghs_*) unset GH_TOKEN ;; esac
: "${GIT_ASKPASS:=/usr/local/bin/molecule-askpass}"
export GIT_ASKPASS
# git's settings, for an agent that is started from this shell and keeps git from
# reading its files. A person may use this shell, so git may still ask on the
# terminal.
case ${GIT_CONFIG_PARAMETERS-} in
*git-credential-molecule*) ;;
*)
    molecule_settings=$(
        molecule_settings=$(/usr/local/bin/molecule-broker setup-git --env 2>/dev/null) &&
            eval "$molecule_settings" && printf %s "$GIT_CONFIG_PARAMETERS"
    ) && export GIT_CONFIG_PARAMETERS="$molecule_settings"
    unset molecule_settings
    ;;
esac
