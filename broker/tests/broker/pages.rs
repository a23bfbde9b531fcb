//! Help, man pages and completions. All are made from the commands, so that none of
//! them lacks a command.

#[path = "../../examples/pages.rs"]
mod generator;

use std::fs;

use clap::CommandFactory;
use molecule_broker::cli::Cli;

fn visible() -> Vec<String> {
    let mut cli = Cli::command();
    cli.build();
    let commands = cli.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help");
    commands.map(|c| c.get_name().to_owned()).collect()
}

#[test]
fn every_command_is_in_a_man_page_and_all_completions() {
    let folder = tempfile::tempdir().unwrap();
    generator::write(folder.path()).unwrap();
    let whole = fs::read_to_string(folder.path().join("man/molecule-broker.1")).unwrap();
    assert!(visible().len() >= 10, "{:?}", visible());
    for name in visible() {
        let page = folder.path().join(format!("man/molecule-broker-{name}.1"));
        let text = fs::read_to_string(&page).unwrap_or_else(|_| panic!("no {}", page.display()));
        assert!(text.contains(".SH NAME") && whole.contains(&name.replace('-', "\\-")), "{name}");
        for entry in fs::read_dir(folder.path().join("completions")).unwrap() {
            let script = entry.unwrap().path();
            assert!(fs::read_to_string(&script).unwrap().contains(&name), "{name} in {}", script.display());
        }
    }
}

#[test]
fn commands_for_our_own_processes_are_in_no_page() {
    let folder = tempfile::tempdir().unwrap();
    generator::write(folder.path()).unwrap();
    for name in ["errands", "keep"] {
        assert!(!folder.path().join(format!("man/molecule-broker-{name}.1")).exists());
    }
}

#[test]
fn every_commands_help_has_an_example_and_its_exit_status() {
    let mut cli = Cli::command();
    cli.build();
    for name in visible() {
        let help = cli.find_subcommand_mut(&name).unwrap().render_long_help().to_string();
        assert!(help.contains("Example") && help.contains("xit status"), "{name}:\n{help}");
    }
}
