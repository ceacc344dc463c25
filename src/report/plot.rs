//! Curves and bars as SVG within a page: nothing but shapes and words.

use super::words::escaped;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// Where shapes begin and end: words stand outside.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 712.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 190.0;
/// About so many lines across.
const LINES: f64 = 4.0;
/// A word beside a mark further right would not end within the picture: it stands on the other side.
const LAST_FOR_WORDS: f64 = 0.9;
/// The widest bar, so that two of them are no wall.
const MAX_BAR: f64 = 40.0;

/// A curve; its values are evenly spread from left to right.
#[derive(Clone, Debug)]
pub struct Curve {
    pub name: &'static str,
    /// The class of its style.
    pub style: &'static str,
    pub values: Vec<f64>,
}

/// A bar, with what is told of it to who points at it.
#[derive(Clone, Debug)]
pub struct Bar {
    pub value: f64,
    pub told: String,
}

/// A word below the picture, at a place between 0 (left) and 1.
pub type Label = (f64, String);

/// Several curves over the same time.
pub fn curves(title: &str, curves: &[Curve], labels: &[Label]) -> String {
    let most = top(curves.iter().flat_map(|curve| &curve.values).copied());
    let mut shapes = grid(most);
    for curve in curves {
        let last = curve.values.len().saturating_sub(1).max(1) as f64;
        let points = curve
            .values
            .iter()
            .enumerate()
            .map(|(place, value)| format!("{:.1},{:.1}", across(place as f64 / last), up(value / most)));
        let mut points: Vec<String> = points.collect();
        if let [only] = points.as_slice() {
            // One value is a line of its height.
            points.push(format!("{RIGHT:.1},{}", only.split(',').nth(1).unwrap_or_default()));
        }
        shapes.push_str(&format!("<polyline class=\"{}\" points=\"{}\"/>\n", curve.style, points.join(" ")));
    }
    let legend =
        curves.iter().map(|curve| format!("<span class=\"key {}\">{}</span>", curve.style, escaped(curve.name)));
    figure(title, &shapes, labels, &legend.collect::<String>())
}

/// Bars side by side, and marks across them at places between 0 and 1.
pub fn bars(title: &str, bars: &[Bar], labels: &[Label], marks: &[Label]) -> String {
    let most = top(bars.iter().map(|bar| bar.value));
    let step = (RIGHT - LEFT) / bars.len().max(1) as f64;
    let width = (step * 0.85).min(MAX_BAR);
    let mut shapes = grid(most);
    for (place, bar) in bars.iter().enumerate() {
        let (left, height) = (LEFT + step * place as f64 + (step - width) / 2.0, (BOTTOM - TOP) * bar.value / most);
        shapes.push_str(&format!(
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{}</title></rect>\n",
            BOTTOM - height,
            escaped(&bar.told)
        ));
    }
    // Each word a line lower: marks may be close together.
    for (line, (place, word)) in (1_u32..).map(f64::from).zip(marks) {
        let at = across(*place);
        let (beside, anchor) = if *place > LAST_FOR_WORDS { (-3.0, "end") } else { (3.0, "start") };
        shapes.push_str(&format!(
            "<line class=\"mark\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{BOTTOM}\"/><text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
            at + beside,
            TOP + 11.0 * line,
            escaped(word)
        ));
    }
    figure(title, &shapes, labels, "")
}

fn figure(title: &str, shapes: &str, labels: &[Label], legend: &str) -> String {
    let title = escaped(title);
    let words: String = labels
        .iter()
        .map(|(place, word)| {
            let anchor = if *place <= 0.05 {
                "start"
            } else if *place >= 0.95 {
                "end"
            } else {
                "middle"
            };
            let at = across(*place);
            format!(
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
                BOTTOM + 18.0,
                escaped(word)
            )
        })
        .collect();
    format!(
        "<figure><figcaption>{title}{legend}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n{shapes}{words}</svg></figure>\n"
    )
}

/// Lines across with their values.
fn grid(most: f64) -> String {
    let step = nice(most / LINES);
    let mut lines = String::new();
    let mut value = 0.0;
    while value <= most * 1.0001 {
        let at = up(value / most);
        lines.push_str(&format!(
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{RIGHT}\" y2=\"{at:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            LEFT - 6.0,
            at + 4.0,
            figures(value)
        ));
        value += step;
    }
    lines
}

fn figures(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn across(place: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * place.clamp(0.0, 1.0)
}

fn up(part: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * part.clamp(0.0, 1.0)
}

/// Where the picture ends: the highest value, or 1 where there is none.
fn top(values: impl Iterator<Item = f64>) -> f64 {
    let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    if most > 0.0 { most } else { 1.0 }
}

/// 1, 2 or 5 times a power of ten, not below the step.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * 0.9999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_across_have_round_values() {
        assert_eq!([0.25, 1.0, 13.0, 4_700.0].map(nice), [0.5, 1.0, 20.0, 5_000.0]);
        assert_eq!([0.5, 20.0, 0.0].map(figures), ["0.5", "20", "0"]);
    }

    #[test]
    fn what_others_wrote_is_text() {
        let bar = Bar { value: 1.0, told: "<script>".to_owned() };
        let told = bars("a \"b\"", &[bar], &[(0.0, "</svg>".to_owned())], &[(0.5, "<b>".to_owned())]);
        assert!(!told.contains("<script>") && !told.contains("<b>") && told.matches("</svg>").count() == 1, "{told}");
        assert!(told.contains("aria-label=\"a &quot;b&quot;\""), "{told}");
    }

    #[test]
    fn a_word_beside_a_mark_ends_within_the_picture() {
        let drawn = bars("t", &[], &[], &[(0.5, "p50".to_owned()), (1.0, "p99".to_owned())]);
        assert!(drawn.contains("x=\"709.0\" y=\"34.0\" text-anchor=\"end\">p99"), "{drawn}");
        assert!(drawn.contains("text-anchor=\"start\">p50"), "{drawn}");
    }

    proptest! {
        /// Whatever the values, every shape is inside the picture, and there are few lines.
        #[test]
        fn every_point_is_inside_the_picture(values in prop::collection::vec(0.0_f64..1e12, 0..300)) {
            let drawn = curves("t", &[Curve { name: "n", style: "s", values: values.clone() }], &[]);
            let points = drawn.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
            for point in points.split_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                prop_assert!((LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y), "{}", point);
            }
            prop_assert!(drawn.matches("class=\"grid\"").count() <= 6);
            let all: Vec<Bar> = values.iter().map(|value| Bar { value: *value, told: String::new() }).collect();
            prop_assert_eq!(bars("t", &all, &[], &[]).matches("<rect").count(), values.len());
        }
    }
}
