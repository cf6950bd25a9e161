//! The grammar: what is understood, and what is said of what is not.

use clap::error::ErrorKind;

use super::usage::Named;
use super::*;

/// What is said of a line that is not understood.
fn complaint(program: &'static str, line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let mut grammar = grammar(program);
    let error =
        grammar.try_get_matches_from_mut([vec![program.to_owned()], words.clone()].concat()).unwrap_err();
    Named::find(&grammar, program, &words).complaint_of(&error)
}

#[test]
fn the_grammar_holds_together() {
    Cli::command().debug_assert();
    HfCli::command().debug_assert();
}

#[test]
fn an_unknown_command_is_told_what_there_is() {
    let text = complaint("hf", "buckets foo");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "Usage: hf buckets [OPTIONS] COMMAND [ARGS]...",
            "Try 'hf buckets --help' for help.",
            "",
            "Error: No such command 'foo'.",
            "",
            "Available commands for 'hf buckets':",
        ]
    );
    assert_eq!(lines[6], "  cp                             Copy files between local paths and buckets");
    assert_eq!(lines.last(), Some(&"Run 'hf buckets --help' for full details."));
    assert_eq!(lines.len(), 19, "eleven commands: {text}");
}

#[test]
fn an_unknown_option_is_told_what_there_is() {
    let text = complaint("xetgate", "buckets ls --badopt");
    assert!(text.starts_with(
        "Usage: xetgate buckets ls [OPTIONS] [ARGUMENT]\nTry 'xetgate buckets ls --help' for help.\n\n\
         Error: No such option '--badopt'.\n\nAvailable options for 'xetgate buckets ls':\n"
    ));
    assert!(text.contains("\n  -R, --recursive                List files recursively"), "{text}");
    assert!(text.contains("\n  --search TEXT                  Search query"), "{text}");
}

#[test]
fn other_faults_are_told_in_a_line_below_the_usage() {
    for (line, usage, message) in [
        ("buckets create", "create [OPTIONS] BUCKET_ID", "Missing argument 'BUCKET_ID'."),
        ("buckets info a b", "info [OPTIONS] BUCKET_ID", "Got unexpected extra argument (b)"),
        ("buckets sync --plan", "sync [OPTIONS] [SOURCE] [DEST]", "Option '--plan' requires an argument."),
        (
            "buckets list --format xml",
            "list [OPTIONS] [ARGUMENT]",
            "Invalid value for '--format': 'xml'. Valid values: auto, human, agent, json, quiet.",
        ),
        ("buckets cp", "cp [OPTIONS] SRC [DST]", "Missing argument 'SRC'."),
    ] {
        let text = complaint("xetgate", line);
        assert!(text.starts_with(&format!("Usage: xetgate buckets {usage}\n")), "{text}");
        assert!(text.ends_with(&format!("\n\nError: {message}")), "{text}");
    }
}

#[test]
fn dash_h_is_help_but_for_list() {
    let kind = |line: &str| {
        let words = std::iter::once("hf").chain(line.split(' '));
        grammar("hf").try_get_matches_from(words).map_err(|error| error.kind())
    };
    assert_eq!(kind("buckets info -h").unwrap_err(), ErrorKind::DisplayHelp);
    assert_eq!(kind("buckets list --help").unwrap_err(), ErrorKind::DisplayHelp);
    assert!(kind("buckets list -h").is_ok());
    assert_eq!(kind("-v").unwrap_err(), ErrorKind::DisplayVersion);
    assert!(kind("sync a b --delete --no-delete").is_ok());
    assert!(kind("serve").is_err(), "hf serves nothing");
}

#[test]
fn every_command_has_examples_that_name_the_program() {
    for command in grammar("hf")
        .get_subcommands()
        .flat_map(|command| std::iter::once(command).chain(command.get_subcommands()))
    {
        let help = command.get_after_help().unwrap_or_else(|| panic!("{}", command.get_name())).to_string();
        assert!(help.starts_with("Examples:\n  $ "), "{help}");
        assert!(help.contains("hf ") && !help.contains("$ xetgate"), "{help}");
    }
}

#[test]
fn place_and_gateway_may_be_named_before_the_sub_command_and_after_it() {
    let values = |line: &str, ids: [&str; 2]| {
        let matches = grammar("xetgate").try_get_matches_from(line.split(' ')).unwrap();
        let (_, command) = matches.subcommand().unwrap();
        ids.map(|id| {
            command.get_raw(id).and_then(|mut raw| raw.next()).map(|raw| raw.to_string_lossy().into_owned())
        })
    };
    for (before, after) in [
        ("store --data-dir D --config C stats", "store stats --data-dir D --config C"),
        ("store --data-dir D --config C gc --dry-run", "store gc --dry-run --data-dir D --config C"),
        ("store --data-dir D --config C backup to", "store backup to --data-dir D --config C"),
        ("config --data-dir D --config C show", "config show --data-dir D --config C"),
        ("admin --data-dir D --config C backup to", "admin backup to --data-dir D --config C"),
        ("admin --data-dir D --config C keys list", "admin keys list --data-dir D --config C"),
        ("admin --data-dir D --config C users create u", "admin users --data-dir D create u --config C"),
        ("health --data-dir D --config C", "health --config C --data-dir D"),
        ("serve --data-dir D --config C", "serve --config C --data-dir D"),
    ] {
        let expected = ["D", "C"].map(|text| Some(text.to_owned()));
        for line in [before, after] {
            assert_eq!(values(&format!("xetgate {line}"), ["data_dir", "config"]), expected, "{line}");
        }
    }
    for line in ["admin --endpoint D --token C keys list", "admin keys list --token C --endpoint D"] {
        let expected = ["D", "C"].map(|text| Some(text.to_owned()));
        assert_eq!(values(&format!("xetgate {line}"), ["endpoint", "token"]), expected, "{line}");
    }
}

#[test]
fn cp_and_sync_stand_alone_too() {
    for program in ["xetgate", "hf"] {
        let text = complaint(program, "cp");
        assert!(text.starts_with(&format!("Usage: {program} cp [OPTIONS] SRC [DST]\n")), "{text}");
        assert!(text.ends_with("Error: Missing argument 'SRC'."), "{text}");
        assert!(complaint(program, "sync --nope").contains("No such option '--nope'."));
    }
}
