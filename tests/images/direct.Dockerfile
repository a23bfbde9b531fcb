# Stand-in for the families whose container runs the runtime itself, as root:
# deepagents, gemini-cli, langgraph, openclaw.
FROM molecule-test-debian
RUN useradd -u 1000 -m -s /bin/bash agent
WORKDIR /app
COPY molecule-runtime /usr/local/bin/molecule-runtime
ENTRYPOINT ["molecule-runtime"]
