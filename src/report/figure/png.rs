//! A chart as a PNG image.

use std::sync::Arc;

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use thiserror::Error;

use crate::report::figure::FigureView;

/// The only font of images, so that they are the same everywhere.
const FONT: &[u8] = include_bytes!("fonts/DejaVuSans-latin.ttf");

/// Pixels per unit of a chart: sharp on dense screens and in print.
const SCALE: f32 = 2.0;

/// A chart that cannot be drawn as an image.
#[derive(Debug, Error)]
#[error("chart `{id}` cannot be drawn as PNG: {reason}")]
pub(crate) struct PngError {
    id: String,
    reason: String,
}

/// Draws a chart on white, with the light colours of its style.
///
/// # Errors
/// If the chart is no SVG that can be drawn, or too large for an image.
pub(crate) fn render(chart: &FigureView) -> Result<Vec<u8>, PngError> {
    let failed = |reason: String| PngError { id: chart.id.clone(), reason };
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options {
        font_family: "DejaVu Sans".to_owned(),
        fontdb: Arc::new(fonts),
        ..Options::default()
    };
    let tree = Tree::from_str(&without_variables(&chart.file()), &options)
        .map_err(|error| failed(error.to_string()))?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let mut image = size
        .and_then(|size| Pixmap::new(size.width(), size.height()))
        .ok_or_else(|| failed("it is too large".to_owned()))?;
    image.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut image.as_mut());
    image.encode_png().map_err(|error| failed(error.to_string()))
}

/// Puts the value after the comma in the place of `var(--name, value)`: the drawing library knows
/// no variables.
fn without_variables(svg: &str) -> String {
    let mut plain = String::with_capacity(svg.len());
    let mut rest = svg;
    while let Some((before, after)) = rest.split_once("var(--") {
        plain.push_str(before);
        let Some((_, value)) = after.split_once(',') else { break };
        let Some((value, behind)) = value.split_once(')') else { break };
        plain.push_str(value.trim());
        rest = behind;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figure::charts;
    use crate::report::tests::sample_run;

    #[test]
    fn every_chart_is_an_image_with_ink_on_it() {
        for chart in sample_run::with_input(charts) {
            let png = render(&chart).unwrap();
            let image = Pixmap::decode_png(&png).unwrap();
            let white = |pixel: &resvg::tiny_skia::PremultipliedColorU8| {
                pixel.red() == 255 && pixel.green() == 255 && pixel.blue() == 255
            };
            let n_inked = image.pixels().iter().filter(|pixel| !white(pixel)).count();
            assert!(n_inked > 1_000, "{}: {n_inked} pixels", chart.id);
        }
    }

    #[test]
    fn variables_become_their_values() {
        let style = "a { fill: var(--ink, #111); stroke: var(--rule, #222) } b { fill: none }";
        let plain = "a { fill: #111; stroke: #222 } b { fill: none }";
        assert_eq!(without_variables(style), plain);
    }
}
