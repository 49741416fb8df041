//! `bench help`: a page on a topic, or the help of a command.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::cli::args::{Cli, HelpArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::diagnostic::suggest::did_you_mean;
use crate::help::{TOPICS, Topic};

/// Prints a page or the help of a command; without a word, what there is.
pub(crate) fn help(args: &HelpArgs) -> Result<Exit, Failure> {
    let topic = TOPICS.iter().find(|topic| [topic.name()] == args.words[..]);
    let text = match topic {
        Some(topic) => topic.text.to_owned(),
        None => of_command(&args.words)?,
    };
    output::data(&text)?;
    Ok(Exit::Ok)
}

fn of_command(words: &[String]) -> Result<String, Failure> {
    let mut command = Cli::command();
    command.build();
    let mut command = &mut command;
    for word in words {
        let commands: Vec<String> =
            command.get_subcommands().map(|known| known.get_name().to_owned()).collect();
        let topics = TOPICS.iter().map(Topic::name);
        let known: Vec<String> = topics.chain(commands).collect();
        let Some(found) = command.find_subcommand_mut(word) else {
            let known = known.iter().map(String::as_str);
            let help = did_you_mean(word, known, "topics and commands").unwrap_or_default();
            let message = format!("there is no topic or command `{word}`");
            return Err(Failure::new(Exit::Usage, message).help(help));
        };
        command = found;
    }
    let mut text = command.render_long_help().to_string();
    if words.is_empty() {
        text.push_str("\nTopics:\n");
        for topic in TOPICS {
            let _ = writeln!(text, "  {:<16} {}", topic.name(), topic.summary);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_topic_hides_a_command() {
        for topic in TOPICS {
            assert!(Cli::command().find_subcommand(topic.name()).is_none(), "{}", topic.name());
        }
    }
}
