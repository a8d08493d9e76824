//! Figures in the text format of Prometheus.

use std::fmt::Write;

/// How a figure behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only counts up.
    Counter,
    Gauge,
    Histogram,
}

/// All figures of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `_bucket`, `_sum` or `_count` in a histogram, otherwise empty.
    pub suffix: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

impl Family {
    pub fn new(name: &'static str, kind: Kind, help: &'static str) -> Family {
        Family { name, help, kind, samples: Vec::new() }
    }

    /// Adds a figure.
    pub fn add(&mut self, labels: &[(&'static str, &str)], value: f64) {
        self.part("", labels, value);
    }

    /// Adds a histogram: each bound with the count of what stands in its bucket alone, and one more count for the rest.
    pub fn histogram(&mut self, labels: &[(&'static str, &str)], bounds: &[f64], counts: &[u64], sum: f64) {
        let mut below = 0;
        for (at, count) in counts.iter().enumerate() {
            below += count;
            let bound = bounds.get(at).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            self.part("_bucket", &[labels, &[("le", bound.as_str())]].concat(), below as f64);
        }
        self.part("_sum", labels, sum);
        self.part("_count", labels, below as f64);
    }

    fn part(&mut self, suffix: &'static str, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push(Sample { suffix, labels, value });
    }
}

/// The page that Prometheus reads.
pub fn encode(families: &[Family]) -> String {
    let mut page = String::new();
    for family in families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into a text cannot fail.
        let _ = writeln!(page, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
        for sample in &family.samples {
            let labels: Vec<String> =
                sample.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(page, "{}{}{labels} {}", family.name, sample.suffix, sample.value);
        }
    }
    page
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut calls = Family::new("calls_total", Kind::Counter, "Calls.");
        calls.add(&[("source", "a\"b\\c\nd")], 3.0);
        let mut took = Family::new("took_seconds", Kind::Histogram, "Time.");
        took.histogram(&[("to", "x")], &[0.1, 5.0], &[2, 1, 1], 7.25);
        let expected = "\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{source=\"a\\\"b\\\\c\\nd\"} 3
# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_bucket{to=\"x\",le=\"0.1\"} 2
took_seconds_bucket{to=\"x\",le=\"5\"} 3
took_seconds_bucket{to=\"x\",le=\"+Inf\"} 4
took_seconds_sum{to=\"x\"} 7.25
took_seconds_count{to=\"x\"} 4
";
        assert_eq!(encode(&[calls, took]), expected);
    }
}
