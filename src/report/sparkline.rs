//! A curve within a line of text.

/// As many columns as fit beside an indent.
const COLUMNS: usize = 60;
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A curve of at most `COLUMNS` characters; each is the average of the values that it stands for.
pub fn sparkline(values: &[f64]) -> String {
    let each = values.len().div_ceil(COLUMNS).max(1);
    let columns: Vec<f64> = values.chunks(each).map(|chunk| chunk.iter().sum::<f64>() / chunk.len() as f64).collect();
    let most = columns.iter().copied().fold(0.0, f64::max);
    let height = |value: &f64| match most > 0.0 {
        true => HEIGHTS[((value / most * (HEIGHTS.len() - 1) as f64).round() as usize).min(HEIGHTS.len() - 1)],
        false => HEIGHTS[0],
    };
    columns.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_as_high_as_its_highest_part_and_no_longer_than_a_line() {
        assert_eq!(sparkline(&[0.0, 4.0, 8.0]), "▁▅█");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
        assert_eq!(sparkline(&[1.0; 256]).chars().count(), 52);
        assert_eq!(sparkline(&[]), "");
    }
}
