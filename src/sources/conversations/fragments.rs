//! Speech that a transcription node wrote down token by token, made whole.
//!
//! Invariant: only lines of such a node are touched. The node sees the agent's own speech, so its lines are the agent's
//! even where the file calls them `user`.

use crate::model::{Role, Turn};

use super::shape::Notes;
use crate::sources::wire::one_line;

/// A pause that no speaker makes inside a sentence.
const GAP_MAX_S: i64 = 15;
/// How many turns away the session may hold what the node heard.
const ECHO_DISTANCE: usize = 3;

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
    let once = without_echoes(&mut out);
    if once > 0 {
        notes.add(format!("speech that the session holds too was left out of the transcription node's: {once} turns"));
    }
    if out.len() + once < before {
        notes.add(format!("transcription-node fragments were joined: {before} items to {}", out.len() + once));
    }
    if mislabelled > 0 {
        notes.add(format!(
            "the agent's speech was labelled user by its transcription node: {mislabelled} items corrected"
        ));
    }
    out
}

/// Leaves out what another source wrote down as well, a few turns away; gives how many turns that were.
fn without_echoes(turns: &mut Vec<Turn>) -> usize {
    let words = |turn: &Turn| one_line(&turn.text).to_lowercase();
    let is_echo = |index: usize| {
        let turn = &turns[index];
        let near = index.saturating_sub(ECHO_DISTANCE)..(index + ECHO_DISTANCE + 1).min(turns.len());
        let same = |other: &Turn| other.role == turn.role && !is_fragment(other) && words(other) == words(turn);
        is_fragment(turn) && turns[near].iter().any(same)
    };
    let echoes: Vec<bool> = (0..turns.len()).map(is_echo).collect();
    let mut echo = echoes.iter();
    turns.retain(|_| !echo.next().copied().unwrap_or_default());
    echoes.iter().filter(|echo| **echo).count()
}

fn is_fragment(turn: &Turn) -> bool {
    turn.detail().kind.is_none() && turn.detail().source.as_deref().is_some_and(is_node)
}

fn goes_on(last: &Turn, turn: &Turn) -> bool {
    let near = match (last.at, turn.at) {
        (Some(before), Some(after)) => (after.as_second() - before.as_second()).abs() <= GAP_MAX_S,
        _ => true,
    };
    is_fragment(turn) && near && last.role == turn.role && last.detail().source == turn.detail().source
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
        if fragment.detail().interrupted == Some(true) {
            whole.detail_mut().interrupted = Some(true);
        }
    }
    whole.text = whole.text.trim().to_owned();
    (!whole.text.is_empty()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: Role, source: &str, text: &str) -> Turn {
        let mut turn = Turn::new(role, text, None);
        turn.detail_mut().source = Some(source.to_owned());
        turn
    }

    #[test]
    fn what_the_session_holds_too_is_told_once() {
        let node = |text: &str| turn(Role::User, "Transcription-Node", text);
        let turns = vec![
            node("Good"),
            node(" day."),
            turn(Role::Assistant, "session", "Good day."),
            turn(Role::User, "session", "Good day."),
            node("Only"),
            node("here"),
        ];
        let mut notes = Notes::default();
        let texts: Vec<_> = joined(turns, &mut notes).into_iter().map(|turn| (turn.role, turn.text)).collect();
        let expected = [(Role::Assistant, "Good day."), (Role::User, "Good day."), (Role::Assistant, "Only here")];
        assert_eq!(texts, expected.map(|(role, text)| (role, text.to_owned())));
        assert_eq!(notes.0.len(), 3, "{:?}", notes.0);
    }

    #[test]
    fn what_no_node_wrote_stays_as_it_is() {
        let turns =
            vec![turn(Role::User, "session", "a"), turn(Role::User, "session", "a"), turn(Role::User, "x", " ")];
        let mut notes = Notes::default();
        assert_eq!(joined(turns, &mut notes).len(), 3);
        assert!(notes.0.is_empty());
    }
}
