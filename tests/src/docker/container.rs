//! One container, removed when the value is dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::{AGENT, City, PATIENCE, docker};
use crate::machine_tool;
use crate::wait::poll;
use crate::world::{RunResult, run, run_with_input};

pub struct Container {
    name: String,
}

/// Options of one `docker exec`.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// `None` stands for the agent.
    pub user: Option<&'static str>,
    pub env: Vec<(&'static str, String)>,
    pub input: String,
}

impl Container {
    /// Runs `docker run --detach` with the city's provisions.
    #[track_caller]
    pub fn start(city: &City, image: &str, options: &[&str], command: &[&str]) -> Self {
        Self::start_with(city.provision(), image, options, command)
    }

    #[track_caller]
    pub fn start_with(provision: Vec<String>, image: &str, options: &[&str], command: &[&str]) -> Self {
        let container = Self::named();
        let mut arguments = vec![String::from("run"), String::from("--detach"), format!("--name={}", container.name)];
        arguments.extend(provision);
        arguments.extend(options.iter().copied().map(String::from));
        arguments.push(String::from(image));
        arguments.extend(command.iter().copied().map(String::from));
        run(machine_tool("docker").args(&arguments), PATIENCE).ok();
        container
    }

    /// Reserves a name, for a container that the caller starts.
    pub fn named() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("molecule-test-{}-{count}", std::process::id()) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a shell command as the agent, with git pointed at the city.
    pub fn sh(&self, city: &City, script: &str) -> RunResult {
        self.exec(&ExecOptions { env: city.git_variables(), ..ExecOptions::default() }, &["sh", "-c", script])
    }

    pub fn sh_as_root(&self, script: &str) -> RunResult {
        self.exec(&ExecOptions { user: Some("0"), ..ExecOptions::default() }, &["sh", "-c", script])
    }

    pub fn exec(&self, options: &ExecOptions, words: &[&str]) -> RunResult {
        self.exec_within(options, words, PATIENCE)
    }

    pub fn exec_within(&self, options: &ExecOptions, words: &[&str], within: Duration) -> RunResult {
        let agent = AGENT.to_string();
        let mut command = machine_tool("docker");
        command.args(["exec", "--interactive", "--user", options.user.unwrap_or(&agent)]);
        for (name, value) in &options.env {
            command.arg(format!("--env={name}={value}"));
        }
        command.arg(&self.name).args(words);
        run_with_input(&mut command, options.input.as_bytes(), within)
    }

    /// Waits until the broker has a live credential.
    #[track_caller]
    pub fn wait_until_ready(self) -> Self {
        let ran = self.sh_as_root("molecule-broker status --wait 30s --strict");
        assert!(ran.success(), "the broker isn't ready: {ran:?}\n{}", self.log());
        self
    }

    pub fn status(&self) -> Option<Value> {
        let ran = self.sh_as_root("molecule-broker status --json");
        serde_json::from_str(&ran.stdout).ok()
    }

    /// Returns the daemon's pid in the container's own PID namespace.
    pub fn daemon(&self) -> Option<u64> {
        self.status()?["pid"].as_u64()
    }

    /// Returns the token that the agent gets.
    pub fn token(&self) -> Option<String> {
        let ran = self.exec(&ExecOptions::default(), &["molecule-broker", "token"]);
        ran.success().then(|| String::from(ran.stdout.trim()))
    }

    /// Runs `docker inspect` with a template.
    pub fn inspect(&self, template: &str) -> String {
        String::from(docker(&["inspect", "--format", template, &self.name]).stdout.trim())
    }

    /// Returns the exit status of the container, if it ends in time.
    pub fn end(&self, within: Duration) -> Option<i32> {
        poll(within, || (self.inspect("{{.State.Running}}") == "false").then_some(()))?;
        self.inspect("{{.State.ExitCode}}").parse().ok()
    }

    pub fn signal(&self, signal: &str) {
        docker(&["kill", "--signal", signal, &self.name]);
    }

    pub fn log(&self) -> String {
        let ran = docker(&["logs", &self.name]);
        ran.stdout + &ran.stderr
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.name]);
    }
}
