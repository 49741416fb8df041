//! Writes SVG elements; knows nothing of charts.

use std::fmt::Write as _;

/// Where a text begins, ends or has its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The given point is its start.
    Start,
    /// The given point is its middle.
    Middle,
    /// The given point is its end.
    End,
}

/// A drawing in progress. Marks with a coordinate that is not finite are left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    title: String,
    body: String,
}

impl Svg {
    /// Begins a drawing. The title is what a screen reader says.
    pub(crate) fn new(width: f64, height: f64, title: &str) -> Self {
        Self { width, height, title: title.to_owned(), body: String::new() }
    }

    /// Begins a group; what follows is part of it until [`Self::close`].
    pub(crate) fn open(&mut self, attributes: &str) {
        let gap = if attributes.is_empty() { "" } else { " " };
        self.push(&format!("<g{gap}{attributes}>"));
    }

    /// Ends the group that was begun last.
    pub(crate) fn close(&mut self) {
        self.push("</g>");
    }

    /// Sets the style of all that is drawn.
    pub(super) fn style(&mut self, style: &str) {
        self.push(&format!("<style>{style}</style>"));
    }

    /// Takes over elements of another drawing.
    pub(super) fn elements(&mut self, elements: &str) {
        self.body.push_str(elements);
    }

    /// Draws what a path says.
    pub(crate) fn path(&mut self, data: &str, style: &str) {
        if !data.is_empty() {
            self.push(&format!("<path {style} d=\"{data}\"/>"));
        }
    }

    /// Draws a straight line.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        if !are_finite(&[from.0, from.1, to.0, to.1]) {
            return;
        }
        let (x1, y1, x2, y2) = (at(from.0), at(from.1), at(to.0), at(to.1));
        self.push(&format!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    /// Draws a rectangle from its upper left corner, with a tooltip unless that is empty.
    pub(crate) fn rect(
        &mut self,
        corner: (f64, f64),
        size: (f64, f64),
        style: &str,
        tooltip: &str,
    ) {
        if !are_finite(&[corner.0, corner.1, size.0, size.1]) {
            return;
        }
        let (x, y, w, h) = (at(corner.0), at(corner.1), at(size.0.max(0.0)), at(size.1.max(0.0)));
        self.push(&format!(
            "<rect {style} x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"{}",
            closed("rect", tooltip)
        ));
    }

    /// Draws a dot.
    pub(crate) fn dot(&mut self, centre: (f64, f64), radius: f64, class: &str, tooltip: &str) {
        if !are_finite(&[centre.0, centre.1]) {
            return;
        }
        self.push(&format!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"{}",
            at(centre.0),
            at(centre.1),
            at(radius),
            closed("circle", tooltip)
        ));
    }

    /// Draws a line through points.
    pub(crate) fn polyline(&mut self, points: &[(f64, f64)], style: &str, tooltip: &str) {
        self.through("polyline", points, style, tooltip);
    }

    /// Draws an area.
    pub(crate) fn polygon(&mut self, points: &[(f64, f64)], style: &str, tooltip: &str) {
        self.through("polygon", points, style, tooltip);
    }

    fn through(&mut self, name: &str, points: &[(f64, f64)], style: &str, tooltip: &str) {
        let mut list = String::new();
        for (x, y) in points.iter().filter(|(x, y)| are_finite(&[*x, *y])) {
            let gap = if list.is_empty() { "" } else { " " };
            write!(list, "{gap}{},{}", at(*x), at(*y)).expect("writing to a String does not fail");
        }
        if list.is_empty() {
            return;
        }
        self.push(&format!("<{name} {style} points=\"{list}\"{}", closed(name, tooltip)));
    }

    /// Writes text.
    pub(crate) fn text(&mut self, point: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        if !are_finite(&[point.0, point.1]) {
            return;
        }
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.push(&format!(
            "<text class=\"{class}\" x=\"{}\" y=\"{}\"{anchor}>{}</text>",
            at(point.0),
            at(point.1),
            escaped(text)
        ));
    }

    /// Ends the drawing and returns the element.
    pub(crate) fn finish(self) -> String {
        format!(
            "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
             viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\"><title>{}</title>\n{}</svg>",
            at(self.width),
            at(self.height),
            at(self.width),
            at(self.height),
            escaped(&self.title),
            self.body
        )
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }
}

/// Returns height and elements of a finished drawing.
pub(super) fn taken_apart(svg: &str) -> Option<(f64, &str)> {
    let (head, body) = svg.split_once("</title>\n")?;
    let (_, height) = head.split_once(" height=\"")?;
    Some((height.split('"').next()?.parse().ok()?, body.strip_suffix("</svg>")?))
}

fn closed(name: &str, tooltip: &str) -> String {
    if tooltip.is_empty() {
        "/>".to_owned()
    } else {
        format!("><title>{}</title></{name}>", escaped(tooltip))
    }
}

fn are_finite(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// Prints a coordinate with at most two decimals.
pub(super) fn at(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Escapes text for XML.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_escaped_and_leaves_out_what_has_no_place() {
        let mut svg = Svg::new(100.0, 50.0, "a < b");
        svg.line((0.0, 1.0), (f64::NAN, 2.0), "g");
        svg.rect((1.005, 2.0), (3.333_33, 4.0), "class=\"f0\"", "\"tip\" & more");
        svg.polyline(&[(0.0, 0.0), (1.0, f64::INFINITY), (2.0, 2.0)], "class=\"l0\"", "");
        svg.text((5.0, 5.0), Anchor::End, "t", "<script>");
        insta::assert_snapshot!(svg.finish(), @r#"
        <svg class="chart" xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 100 50" width="100" height="50"><title>a &lt; b</title>
        <rect class="f0" x="1" y="2" width="3.33" height="4"><title>&quot;tip&quot; &amp; more</title></rect>
        <polyline class="l0" points="0,0 2,2"/>
        <text class="t" x="5" y="5" text-anchor="end">&lt;script&gt;</text>
        </svg>
        "#);
    }
}
