//! Speech that a transcription node wrote down token by token, made whole.
//!
//! Invariant: only lines of such a node are touched. The node sees the agent's own speech, so its lines are the agent's
//! even where the file calls them `user`.

use crate::model::{Role, Turn};

use super::shape::Notes;

/// A pause that no speaker makes inside a sentence.
const GAP_MAX_S: i64 = 15;

/// Whether a source of this name is a transcription node.
pub(super) fn is_node(source: &str) -> bool {
    let plain: String = source.chars().filter(char::is_ascii_alphanumeric).collect();
    plain.to_ascii_lowercase().contains("transcriptionnode")
}

/// The turns with each run of fragments made one, and those that say nothing left out.
pub(super) fn joined(turns: Vec<Turn>, notes: &mut Notes) -> Vec<Turn> {
    if !turns.iter().any(is_fragment) {
        return turns;
    }
    let before = turns.len();
    let mut mislabelled = 0;
    let mut out: Vec<Turn> = Vec::with_capacity(turns.len());
    let mut run: Vec<Turn> = Vec::new();
    for mut turn in turns {
        if is_fragment(&turn) && turn.role == Role::User {
            turn.role = Role::Assistant;
            mislabelled += 1;
        }
        if !run.last().is_some_and(|last| goes_on(last, &turn)) {
            out.extend(close(&mut run));
        }
        if is_fragment(&turn) { run.push(turn) } else { out.push(turn) }
    }
    out.extend(close(&mut run));
    if out.len() < before {
        notes.add(format!("transcription-node fragments were joined: {before} items to {}", out.len()));
    }
    if mislabelled > 0 {
        notes.add(format!(
            "the agent's speech was labelled user by its transcription node: {mislabelled} items corrected"
        ));
    }
    out
}

fn is_fragment(turn: &Turn) -> bool {
    turn.kind.is_none() && turn.source.as_deref().is_some_and(is_node)
}

fn goes_on(last: &Turn, turn: &Turn) -> bool {
    let near = match (last.at, turn.at) {
        (Some(before), Some(after)) => (after.as_second() - before.as_second()).abs() <= GAP_MAX_S,
        _ => true,
    };
    is_fragment(turn) && near && last.role == turn.role && last.source == turn.source
}

/// One turn of a run, with the first fragment's time; empties the run.
fn close(run: &mut Vec<Turn>) -> Option<Turn> {
    let fragments = std::mem::take(run);
    // Tokens bring their own blanks; words that somebody trimmed need them back.
    let tokens = fragments.iter().any(|turn| turn.text.starts_with(' ') || turn.text.ends_with(' '));
    let mut fragments = fragments.into_iter();
    let mut whole = fragments.next()?;
    for fragment in fragments {
        let punctuation = fragment.text.starts_with(|c: char| ".,;:!?…)'’".contains(c));
        if !tokens && !punctuation && !whole.text.is_empty() {
            whole.text.push(' ');
        }
        whole.text.push_str(&fragment.text);
        if fragment.interrupted == Some(true) {
            whole.interrupted = Some(true);
        }
    }
    whole.text = whole.text.trim().to_owned();
    (!whole.text.is_empty()).then_some(whole)
}
