//! Whose matter a question without an answer is.

use super::*;
use crate::problem::{ORG_CONFIGURATION, REMOTE_BUSY};

fn problem(what: &str) -> Problem {
    Problem::new(ORG_CONFIGURATION, what, "help")
}

fn retry(what: &str) -> Outcome {
    Outcome::Retry { after: None, problem: Problem::new(REMOTE_BUSY, what, "help"), smaller: false }
}

/// `a` answered, `k` known, `r` refused, `i` refused with something instead, `t` trouble, `b` busy, `-` not asked.
fn said(letters: &str) -> Vec<Said<char>> {
    letters
        .chars()
        .map(|letter| match letter {
            'a' => Said::Answered('a'),
            'k' => Said::Known('k'),
            'r' => Said::refused(problem("refused")),
            'i' => Said::Refused { problem: problem("refused"), instead: Some('i') },
            't' => Said::Trouble(retry("trouble")),
            'b' => Said::Busy(retry("busy")),
            '-' => Said::NotAsked,
            other => panic!("{other}"),
        })
        .collect()
}

/// `F` the call's own failure, `P` a pause, `-` not asked.
fn told(answers: Answers<char>) -> String {
    match answers {
        Err(Outcome::Hold { .. }) => "hold".to_owned(),
        Err(other) => format!("{other:?}"),
        Ok(answers) => answers
            .into_iter()
            .map(|one| match one {
                Ok(letter) => letter,
                Err(Unanswered::NotAsked) => '-',
                Err(Unanswered::Pause(_)) => 'P',
                Err(Unanswered::Failed(_)) => 'F',
            })
            .collect(),
    }
}

#[track_caller]
fn check(letters: &str, control: Option<char>, expected: &str) {
    let control = control.map(|letter| said(&letter.to_string()).remove(0).map(|_| ()));
    assert_eq!(told(judge(said(letters), control)), expected, "{letters}");
}

#[test]
fn a_question_is_its_callers_own_matter_where_others_were_answered() {
    check("ara", None, "aFa");
    check("ata", None, "aFa");
    check("aia", None, "aia");
    check("ab-", None, "aP-");
    check("rk", Some('a'), "Fk");
    check("t", Some('a'), "F");
}

#[test]
fn where_nobody_was_answered_all_wait_or_are_held() {
    check("rr", None, "hold");
    check("ri", None, "hold");
    check("r", None, "hold");
    check("kr", None, "hold");
    check("tt--", None, "PP--");
    check("rt", None, "PP");
    check("rb", None, "PP");
    check("r", Some('r'), "hold");
    check("t", Some('r'), "hold");
    check("r", Some('t'), "P");
}

#[test]
fn only_a_round_without_any_answer_needs_another_question() {
    for (letters, expected) in [("r", true), ("kt", true), ("ra", false), ("tb", false), ("kk", false), ("--", false)] {
        assert_eq!(is_open(&said(letters)), expected, "{letters}");
    }
}

async fn asked(letters: &str, at_once: usize) -> String {
    let questions: Vec<_> = said(letters).into_iter().map(|one| async move { one }).collect();
    let said = put_all(questions, at_once, || true).await.expect("nothing that concerns all");
    said.iter().map(|one| if matches!(one, Said::NotAsked) { '-' } else { 'x' }).collect()
}

#[tokio::test]
async fn nothing_more_is_asked_of_a_remote_that_has_trouble() {
    assert_eq!(asked("tttaaa", 1).await, "xxx---");
    assert_eq!(asked("ttattaa", 1).await, "xxxxxxx");
    assert_eq!(asked("abaa", 1).await, "xx--");
    let all = vec![std::future::ready(Said::All::<()>(retry("login"))), std::future::ready(Said::Answered(()))];
    assert_eq!(put_all(all, 1, || true).await.err(), Some(retry("login")));
}
