# Stand-in for the families whose entrypoint starts as root, fixes ownership and
# starts itself again as the agent: autogen, claude-code, crewai. It has the old
# scripts and a wrapper around gh.
FROM molecule-test-debian
RUN useradd -u 1000 -m -s /bin/bash agent
RUN echo 'agent ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/agent
WORKDIR /app
COPY molecule-runtime gh /usr/local/bin/
COPY entrypoint.sh /entrypoint.sh
COPY old-script.sh /app/scripts/molecule-git-token-helper.sh
COPY old-script.sh /app/scripts/molecule-gh-token-refresh.sh
COPY old-script.sh /home/agent/.molecule-runtime/scripts/molecule-git-token-helper.sh
ENTRYPOINT ["/entrypoint.sh"]
