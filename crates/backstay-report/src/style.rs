//! How the page looks. Charts have the colours of the light page in them, by which the dark one finds what to change.

/// The style of the page, which has to say the colours of charts as they are written there.
pub(crate) const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use super::*;
    use plotters::style::RGBColor;

    use crate::chart::{ACCENT, AXIS, LABEL};

    #[test]
    fn the_colours_of_charts_are_known_to_the_style() {
        for colour in [ACCENT, AXIS, LABEL] {
            let RGBColor(red, green, blue) = colour;
            let written = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
            assert!(STYLE.contains(&written), "{written}");
        }
    }
}
