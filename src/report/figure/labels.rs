//! How wide texts are, and places for them where nothing else is written.

/// Height of a line of text.
pub(crate) const LINE_HEIGHT: f64 = 14.0;

/// Estimates the width of a text at 12 pixels from above, by the widest of the usual fonts
/// (`DejaVu Sans`, whose widths these are).
pub(crate) fn text_width(text: &str) -> f64 {
    let em = |character: char| match character {
        'i' | 'I' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.34,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '-' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.99,
        'a'..='z' | '0'..='9' => 0.64,
        ' '..='~' => 0.8,
        _ => 1.0,
    };
    text.chars().map(em).sum::<f64>() * 12.0
}

/// Breaks a name into lines of at most `width`, after what parts words where there is such, and
/// cuts what is longer than `lines_max` lines.
pub(crate) fn wrapped(name: &str, width: f64, lines_max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in name.split_inclusive([' ', ',', '-', '_', '/', '=']) {
        let last = lines.last_mut().expect("there is a first line");
        if text_width(last) + text_width(part.trim_end()) <= width || last.is_empty() {
            last.push_str(part);
        } else {
            lines.push(part.to_owned());
        }
        // A part without a break in it goes on below.
        while let Some((head, tail)) = cut(lines.last().expect("there is a line"), width) {
            *lines.last_mut().expect("there is a line") = head;
            lines.push(tail);
        }
    }
    if lines.len() > lines_max {
        lines.truncate(lines_max);
        let last = lines.last_mut().expect("at least one line is allowed");
        while text_width(last) + 12.0 > width && last.pop().is_some() {}
        last.push('…');
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

fn cut(line: &str, width: f64) -> Option<(String, String)> {
    if text_width(line.trim_end()) <= width {
        return None;
    }
    let fits = |(at, _): &(usize, char)| *at > 0 && text_width(&line[..*at]) <= width;
    let (at, _) = line.char_indices().rfind(fits)?;
    Some((line[..at].to_owned(), line[at..].to_owned()))
}

/// Rectangles in which something is written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Left, top, right, bottom.
    boxes: Vec<[f64; 4]>,
    /// The same of pieces of lines, over which a text is written only where it must be.
    strokes: Vec<[f64; 4]>,
}

/// Length of the pieces that a line is taken in.
const PIECE: f64 = 4.0;

impl Written {
    /// Takes the first free one of some places for a text of 11 pixels, given by their left ends
    /// and base lines, inside `bounds`: one that no line crosses, where there is such a one; `None`
    /// where none is free.
    pub(crate) fn place(
        &mut self,
        text: &str,
        places: &[(f64, f64)],
        bounds: [f64; 4],
    ) -> Option<(f64, f64)> {
        let width = text_width(text) * 11.0 / 12.0;
        let box_at = |(left, base): (f64, f64)| [left, base - 10.0, left + width, base + 3.0];
        let is_inside = |it: &[f64; 4]| {
            it[0] >= bounds[0] && it[1] >= bounds[1] && it[2] <= bounds[2] && it[3] <= bounds[3]
        };
        let is_free = |it: &[f64; 4]| !self.boxes.iter().any(|other| overlap(it, other));
        let is_crossed = |it: &[f64; 4]| self.strokes.iter().any(|other| overlap(it, other));
        let free = places.iter().copied().filter(|place| {
            let it = box_at(*place);
            is_inside(&it) && is_free(&it)
        });
        let place = free.min_by_key(|place| is_crossed(&box_at(*place)))?;
        self.boxes.push(box_at(place));
        Some(place)
    }

    /// Keeps a dot free of text.
    pub(crate) fn keep_free(&mut self, (x, y): (f64, f64), radius: f64) {
        self.boxes.push([x - radius, y - radius, x + radius, y + radius]);
    }

    /// Keeps a line free of text where there is room beside it.
    pub(crate) fn cross(&mut self, points: &[(f64, f64)]) {
        for pair in points.windows(2) {
            let [(x, y), (to_x, to_y)] = [pair[0], pair[1]];
            let n = ((to_x - x).hypot(to_y - y) / PIECE).ceil().clamp(1.0, 1_000.0);
            let at = |nth: f64| (x + (to_x - x) * nth / n, y + (to_y - y) * nth / n);
            let pieces = (0..n as u32).map(|nth| (at(f64::from(nth)), at(f64::from(nth) + 1.0)));
            self.strokes.extend(pieces.map(|(a, b)| {
                [a.0.min(b.0) - 1.0, a.1.min(b.1) - 1.0, a.0.max(b.0) + 1.0, a.1.max(b.1) + 1.0]
            }));
        }
    }
}

fn overlap(one: &[f64; 4], other: &[f64; 4]) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_broken_where_words_part_and_cut_only_beyond_its_lines() {
        assert_eq!(wrapped("vllm fp16", 200.0, 2), ["vllm fp16"]);
        assert_eq!(wrapped("vllm,precision=fp16", 100.0, 3), ["vllm,", "precision=fp16"]);
        let long = wrapped(&"x".repeat(60), 100.0, 2);
        assert_eq!(long.len(), 2);
        assert!(long[1].ends_with('…') && long.iter().all(|line| text_width(line) <= 106.0));
    }

    #[test]
    fn no_two_texts_stand_in_one_place() {
        let bounds = [0.0, 0.0, 100.0, 100.0];
        let mut written = Written::default();
        let places = [(10.0, 50.0), (10.0, 80.0)];
        assert_eq!(written.place("16", &places, bounds), Some((10.0, 50.0)));
        assert_eq!(written.place("32", &places, bounds), Some((10.0, 80.0)));
        assert_eq!(written.place("64", &places, bounds), None);
        assert_eq!(written.place("64", &[(95.0, 20.0)], bounds), None, "it would be cut");
    }

    #[test]
    fn a_text_stands_over_a_line_only_where_nothing_else_is_free() {
        let bounds = [0.0, 0.0, 100.0, 100.0];
        let mut written = Written::default();
        written.cross(&[(0.0, 50.0), (100.0, 40.0)]);
        let places = [(10.0, 50.0), (10.0, 80.0)];
        assert_eq!(written.place("16", &places, bounds), Some((10.0, 80.0)));
        assert_eq!(written.place("32", &places, bounds), Some((10.0, 50.0)));
    }
}
