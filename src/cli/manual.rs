//! Shell completions and manual pages, made from the command line's own description.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

/// What `completions` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  $ xetgate completions bash > ~/.local/share/bash-completion/completions/xetgate
  $ xetgate completions zsh > \"${fpath[1]}/_xetgate\"
  $ xetgate completions fish > ~/.config/fish/completions/xetgate.fish")]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// What `man` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  $ xetgate man buckets sync | man -l -
  $ xetgate man --dir /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// The command whose page is wanted [default: the page of the program].
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the pages of all commands into this folder instead.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManualError {
    #[error("no such command: {0}; see xetgate --help")]
    NoSuchCommand(String),
    #[error("cannot write manual pages: {0}")]
    Io(#[from] io::Error),
}

impl CompletionsArgs {
    /// The script.
    pub(super) fn script(&self, mut program: Command) -> Vec<u8> {
        let name = program.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        script
    }
}

impl ManArgs {
    /// The page asked for; nothing if pages were written into a folder.
    pub(super) fn page(&self, mut program: Command) -> Result<Vec<u8>, ManualError> {
        let mut page = Vec::new();
        if let Some(dir) = &self.dir {
            std::fs::create_dir_all(dir)?;
            program.build();
            clap_mangen::generate_to(program, dir)?;
            return Ok(page);
        }
        let mut title = program.get_name().to_owned();
        let mut command = &program;
        for word in &self.command {
            let found = command.find_subcommand(word);
            command = found.ok_or_else(|| ManualError::NoSuchCommand(self.command.join(" ")))?;
            title = format!("{title}-{}", command.get_name());
        }
        let bin_name = title.replace('-', " ");
        let command = command.clone().name(title).bin_name(bin_name);
        clap_mangen::Man::new(command).render(&mut page)?;
        Ok(page)
    }
}
