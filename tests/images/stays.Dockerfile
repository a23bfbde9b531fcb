# Stand-in for the family whose entrypoint stays root and starts a part of itself
# as the agent in the background: hermes.
FROM molecule-test-debian
RUN useradd -u 1000 -m -s /bin/bash agent
WORKDIR /app
COPY molecule-runtime /usr/local/bin/molecule-runtime
COPY start.sh /usr/local/bin/start.sh
ENTRYPOINT ["/usr/local/bin/start.sh"]
