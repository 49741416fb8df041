//! Conversations: lists of messages, and the turns that `bench` sends of them.

use serde_json::Value;

use crate::workload::dataset::{Problem, Reading};
use crate::workload::request::{Message, Prompt};
use crate::workload::rows::Row;

/// Reads the turns of a row whose column of the part `messages` holds a conversation.
///
/// The first turn is everything before the first answer; each later one is the user's next
/// message. One turn alone is taken unless the plan wants whole conversations.
pub(super) fn from_messages(reading: &Reading<'_>, row: &Row) -> Result<Vec<Prompt>, Problem> {
    let column = reading.columns.name("messages").unwrap_or("messages").to_owned();
    let problem = |message: String| Problem { column: Some(column.clone()), message };
    let value = reading
        .columns
        .get(&row.fields, "messages")
        .ok_or_else(|| problem("missing or null".to_owned()))?;
    let mut turns = split(messages(value).map_err(problem)?);
    if turns.is_empty() {
        return Err(problem("the conversation has no message of a user".to_owned()));
    }
    if !reading.plan.multi_turn {
        turns.truncate(1);
    }
    Ok(turns)
}

/// Reads a list of messages, in OpenAI's form or in `ShareGPT`'s.
pub(super) fn messages(value: &Value) -> Result<Vec<Message>, String> {
    let items = value.as_array().ok_or("not a list of messages")?;
    items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let role = item.get("role").or_else(|| item.get("from")).and_then(Value::as_str);
            let content = item.get("content").or_else(|| item.get("value")).and_then(Value::as_str);
            let (Some(role), Some(content)) = (role, content) else {
                return Err(format!("message {} has no `role` and `content` of text", index + 1));
            };
            let role = match role {
                "human" | "user" => "user",
                "gpt" | "chatgpt" | "bing" | "bard" | "assistant" => "assistant",
                "system" => "system",
                other => {
                    return Err(format!(
                        "message {} is by `{}`; system, user and assistant are known",
                        index + 1,
                        other.escape_debug()
                    ));
                }
            };
            Ok(Message { role: role.to_owned(), content: content.to_owned() })
        })
        .collect()
}

/// Cuts a conversation at its answers; what the data set answered is left out.
pub(super) fn split(messages: Vec<Message>) -> Vec<Prompt> {
    let mut turns = Vec::new();
    let mut current = Vec::new();
    for message in messages {
        if message.role == "assistant" {
            finish_turn(&mut turns, &mut current);
        } else {
            current.push(message);
        }
    }
    finish_turn(&mut turns, &mut current);
    turns
}

fn finish_turn(turns: &mut Vec<Prompt>, current: &mut Vec<Message>) {
    let messages = std::mem::take(current);
    if !messages.iter().any(|message| message.role == "user") {
        // A system message alone does not ask anything, and belongs to the turn that follows.
        *current = messages;
        return;
    }
    turns.push(match messages.as_slice() {
        [only] => Prompt::Text(only.content.clone()),
        _ => Prompt::Messages(messages),
    });
}

/// Puts a system message in front of a turn.
pub(super) fn behind_system(system: &str, turn: Prompt) -> Result<Prompt, String> {
    let system = Message { role: "system".to_owned(), content: system.to_owned() };
    Ok(Prompt::Messages(match turn {
        Prompt::Text(content) => vec![system, Message { role: "user".to_owned(), content }],
        Prompt::Messages(messages) => std::iter::once(system).chain(messages).collect(),
        Prompt::Tokens(_) => {
            return Err("token ids cannot stand behind a system message".to_owned());
        }
    }))
}
