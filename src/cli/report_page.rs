//! The report as one self-contained page: a bar for each day, and the figures under it.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};

use super::report::rate;
use crate::engine::{reason, thousands};
use crate::store::DayFigures;

const TEMPLATE: &str = include_str!("report.html");
/// The height of the tallest bar, in the page's units.
const BAR_HEIGHT: f64 = 180.0;

#[derive(serde::Serialize)]
struct Day {
    day: String,
    calls: String,
    delivered: String,
    updated: String,
    adopted: String,
    rate: String,
    waiting: String,
    quarantined: String,
    skipped: Vec<String>,
    dead: Vec<String>,
    parts: Vec<Part>,
}

/// One stretch of a bar, from the top.
#[derive(serde::Serialize)]
struct Part {
    class: &'static str,
    title: String,
    y: String,
    height: String,
}

/// The page for these days.
pub fn page(figures: &[DayFigures]) -> String {
    let most = figures.iter().map(|day| day.calls + day.quarantined).max().unwrap_or(0).max(1);
    let days: Vec<Day> = figures.iter().map(|figures| day(figures, most)).collect();
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let rendered = environment.render_named_str(
        "report.html",
        TEMPLATE,
        context! { days => minijinja::Value::from(Serde(&days)) },
    );
    rendered.unwrap_or_else(|error| panic!("the report's own template is wrong: {error}"))
}

fn day(figures: &DayFigures, most: u64) -> Day {
    let skipped: u64 = figures.skipped.values().sum();
    let dead: u64 = figures.dead.values().sum();
    let stretches = [
        ("delivered", figures.delivered, "delivered"),
        ("skipped", skipped, "skipped by rule"),
        ("waiting", figures.waiting, "waiting"),
        ("dead", dead, "dead letters"),
        ("quarantined", figures.quarantined, "files in quarantine"),
    ];
    let (mut parts, mut bottom) = (Vec::new(), BAR_HEIGHT);
    for (class, count, words) in stretches {
        let height = BAR_HEIGHT * count as f64 / most as f64;
        bottom -= height;
        if count > 0 {
            let title = format!("{} {words}", thousands(count));
            parts.push(Part { class, title, y: format!("{bottom:.2}"), height: format!("{height:.2}") });
        }
    }
    Day {
        day: super::list::day(figures.day.as_deref()),
        calls: thousands(figures.calls),
        delivered: thousands(figures.delivered),
        updated: thousands(figures.updated),
        adopted: thousands(figures.adopted),
        rate: rate(figures),
        waiting: thousands(figures.waiting),
        quarantined: thousands(figures.quarantined),
        skipped: figures
            .skipped
            .iter()
            .map(|(code, count)| format!("{} {}", thousands(*count), reason(code)))
            .collect(),
        dead: figures.dead.iter().map(|(code, count)| format!("{} {code}", thousands(*count))).collect(),
        parts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_draws_each_day_and_its_reasons() {
        let mut figures =
            DayFigures { day: Some("2025-10-29".into()), calls: 2000, delivered: 1521, ..DayFigures::default() };
        figures.skipped.insert(crate::problem::NO_MATCH.0.into(), 395);
        figures.match_rate = Some(0.794);
        let page = page(&[figures]);
        for text in ["2025-10-29", "1,521", "395 without a match", "79.4 %", "<svg"] {
            assert!(page.contains(text), "{text}");
        }
    }
}
