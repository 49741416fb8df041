//! Charts as SVG text: which ones a run has, and the drawing of each kind.

mod alternatives;
pub(crate) mod bars;
mod devices;
pub(crate) mod divergence;
mod frontier;
pub(crate) mod heat;
pub(crate) mod history;
mod labels;
pub(crate) mod lines;
mod over_load;
mod overview;
#[cfg(feature = "png")]
pub(crate) mod png;
mod published;
mod requests;
pub(crate) mod scale;
pub(crate) mod svg;
mod sweep;
mod time_series;
pub(crate) mod timeline;

use serde::Serialize;

use crate::analysis::input::DRAWN_MAX;
use crate::report::figure::alternatives::Alternatives;
use crate::report::figure::bars::BOLD;
use crate::report::figure::labels::{LINE_HEIGHT, wrapped};
use crate::report::figure::svg::{Anchor, Svg};
use crate::report::input::Input;

/// Width of every chart.
pub(crate) const WIDTH: f64 = 660.0;

/// Different colours of series.
pub(crate) const COLOURS: usize = 8;

/// Most rows or lines of one chart; its caption says when there are more.
pub(crate) const SERIES_MAX: usize = DRAWN_MAX;

/// Style of charts. Colours are variables, so that a page can set them for light and dark;
/// the values after the comma hold where it does not.
pub(crate) const STYLE: &str = "\
svg.chart { display: block; width: 100%; min-width: 480px; max-width: 660px; height: auto; font: 12px system-ui, sans-serif; }
svg.chart text { stroke: none; } svg.chart .t { fill: var(--ink, #1c2128); } svg.chart .q { fill: var(--faint, #59636e); font-size: 11px; }
svg.chart .strong { font-weight: 600; } svg.chart .title { font-weight: 600; font-size: 15px; } svg.chart .g { stroke: var(--rule, #d1d9e0); stroke-width: 1; } svg.chart .a { stroke: var(--faint, #59636e); stroke-width: 1; }
svg.chart .w { stroke: var(--ink, #1c2128); stroke-width: 1.2; } svg.chart .n { fill: var(--ink, #1c2128); } svg.chart .outline { fill: var(--band, #f6f8fa); stroke: var(--faint, #59636e); stroke-width: 1; }
svg.chart .outside { fill: var(--faint, #59636e); fill-opacity: .12; } svg.chart .limit { stroke: var(--bad, #b3261e); stroke-width: 1; stroke-dasharray: 6 3; } svg.chart .front { fill: none; stroke: var(--faint, #59636e); stroke-width: 6; stroke-opacity: .3; stroke-linejoin: round; }
svg.chart .band { fill-opacity: .18; } svg.chart .dashed { stroke-dasharray: 5 3; } svg.chart .dotted { stroke-dasharray: 2 2; } svg.chart .dash-dotted { stroke-dasharray: 8 3 2 3; }
svg.chart .long-dashed { stroke-dasharray: 14 4; } svg.chart .sparse { stroke-dasharray: 2 6; } svg.chart .dash-dot-dotted { stroke-dasharray: 10 3 2 3 2 3; } svg.chart .gapped { stroke-dasharray: 6 8; }
svg.chart .moment { fill: var(--page, #fff); stroke: var(--ink, #1c2128); stroke-width: 1.5; }
svg.chart .f0 { fill: var(--s0, #0072b2); } svg.chart .l0 { fill: none; stroke: var(--s0, #0072b2); stroke-width: 2; }
svg.chart .f1 { fill: var(--s1, #d55e00); } svg.chart .l1 { fill: none; stroke: var(--s1, #d55e00); stroke-width: 2; }
svg.chart .f2 { fill: var(--s2, #009e73); } svg.chart .l2 { fill: none; stroke: var(--s2, #009e73); stroke-width: 2; }
svg.chart .f3 { fill: var(--s3, #a84f82); } svg.chart .l3 { fill: none; stroke: var(--s3, #a84f82); stroke-width: 2; }
svg.chart .f4 { fill: var(--s4, #8a6d00); } svg.chart .l4 { fill: none; stroke: var(--s4, #8a6d00); stroke-width: 2; }
svg.chart .f5 { fill: var(--s5, #3c91c2); } svg.chart .l5 { fill: none; stroke: var(--s5, #3c91c2); stroke-width: 2; }
svg.chart .f6 { fill: var(--s6, #6b4fa0); } svg.chart .l6 { fill: none; stroke: var(--s6, #6b4fa0); stroke-width: 2; }
svg.chart .f7 { fill: var(--s7, #5c6670); } svg.chart .l7 { fill: none; stroke: var(--s7, #5c6670); stroke-width: 2; }
svg.chart .dim { opacity: .35; } svg.chart .hollow { fill: var(--page, #fff); } svg.chart .whisker, svg.chart .thin { stroke-width: 1; } svg.chart .points { stroke-width: 4; stroke-linecap: round; }
";

/// Height of a line of the title of a file.
const TITLE_LINE: f64 = 22.0;
/// How much larger than other text it is.
const TITLE_SCALE: f64 = 15.0 / 12.0;

/// What hollow points and bars are, as legends say it.
pub(crate) const HOLLOW: &str = "doubtful or INVALID";

/// Marks a doubtful or INVALID number where it is written.
pub(crate) const DOUBT_MARK: &str = " ?";

/// Says what the mark is.
pub(crate) fn doubt_legend() -> String {
    format!("{}: {HOLLOW}", DOUBT_MARK.trim_start())
}

/// One chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FigureView {
    /// Stable name, safe as a file name.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// How to read it, and what is left out.
    pub caption: String,
    /// An `<svg>` element styled by [`STYLE`].
    pub svg: String,
}

impl FigureView {
    /// Returns the chart as a file of its own, its title above it and its caption below, as a page
    /// has them.
    pub(crate) fn file(&self) -> String {
        let (height, body) = svg::taken_apart(&self.svg).unwrap_or((0.0, ""));
        let title = wrapped(&self.title, (WIDTH - 8.0) / BOLD / TITLE_SCALE, usize::MAX);
        let caption = wrapped(&self.caption, WIDTH - 8.0, usize::MAX);
        let title_height = TITLE_LINE * title.len() as f64;
        let caption_height = LINE_HEIGHT * caption.len() as f64 + 8.0;
        let mut file = Svg::new(WIDTH, title_height + height + caption_height, &self.title);
        file.style(STYLE);
        for (nth, line) in title.iter().enumerate() {
            let base = TITLE_LINE * (nth as f64 + 1.0) - 6.0;
            file.text((4.0, base), Anchor::Start, "t title", line);
        }
        file.open(&format!("transform=\"translate(0 {title_height})\""));
        file.elements(body);
        file.close();
        for (nth, line) in caption.iter().enumerate() {
            let base = title_height + height + LINE_HEIGHT * (nth as f64 + 1.0);
            file.text((4.0, base), Anchor::Start, "q", line);
        }
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", file.finish())
    }
}

/// Draws the charts that the run's values allow, in the order in which a reader wants them.
pub(crate) fn charts(input: &Input<'_>) -> Vec<FigureView> {
    let alternatives = Alternatives::of(input);
    let mut charts = frontier::frontiers(input, &alternatives);
    charts.extend(over_load::over_load(input, &alternatives));
    charts.extend(overview::overview(input, &alternatives));
    charts.extend(sweep::sweeps(&alternatives));
    charts.extend(divergence::divergence(input));
    charts.extend(time_series::distributions(input, &alternatives));
    charts.extend(time_series::over_time(input, &alternatives));
    charts.extend(requests::requests(input, &alternatives));
    charts.extend(overview::load_timeline(input, &alternatives));
    charts.extend(devices::devices(input, &alternatives));
    charts.extend(time_series::gpus(input, &alternatives));
    let mut published = published::figures(input, &alternatives);
    for chart in &mut charts {
        if let Some(at) = published::that_shows(&published, &chart.id) {
            *chart = published.remove(at);
        }
    }
    charts.extend(published);
    charts
}

/// Says that not everything is shown, where that is so.
pub(crate) fn first_of(n_all: usize, noun: &str) -> String {
    if n_all > SERIES_MAX {
        format!(" The first {SERIES_MAX} of {n_all} {noun}.")
    } else {
        String::new()
    }
}

/// Cuts a name that has no room.
pub(crate) fn shortened(name: &str, n_chars: usize) -> String {
    if name.chars().count() <= n_chars {
        return name.to_owned();
    }
    name.chars().take(n_chars.saturating_sub(1)).chain(['…']).collect()
}

/// Returns a sentence cut to so many characters, between words where one begins near the end.
pub(crate) fn shortened_text(text: &str, n_chars: usize) -> String {
    let cut = shortened(text, n_chars);
    if cut == text {
        return cut;
    }
    let kept = cut.trim_end_matches('…');
    let end = kept.rfind(' ').filter(|end| 5 * (kept.len() - end) <= kept.len());
    end.map_or(cut.clone(), |end| format!("{} …", kept[..end].trim_end()))
}

/// Makes a label the beginning of a title.
pub(crate) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    first.map_or_else(String::new, |first| first.chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    fn files(charts: &[FigureView]) -> String {
        let parts = charts.iter().flat_map(|chart| [&*chart.id, &*chart.caption, &*chart.svg]);
        parts.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_comparison_has_its_charts() {
        insta::assert_snapshot!(files(&sample_run::with_input(charts)));
    }

    #[test]
    fn a_sweep_has_its_charts() {
        insta::assert_snapshot!(files(&sample_run::with_sweep(charts)));
    }

    #[test]
    fn a_lower_bound_has_an_arrow_and_the_legend_says_what_it_means() {
        let with_arrows = |charts: Vec<FigureView>| {
            let is_told = |chart: &FigureView| chart.svg.contains(lines::BEYOND);
            charts.into_iter().filter(is_told).map(|chart| chart.id).collect::<Vec<_>>()
        };
        assert_eq!(with_arrows(sample_run::with_sweep(charts)), [""; 0]);
        let cut = sample_run::with_sweep(|input| {
            let mut summary = input.summary.clone();
            sample_run::cut(summary.cells.last_mut().unwrap());
            charts(&Input { summary: &summary, ..*input })
        });
        assert_eq!(with_arrows(cut), ["output-against-ttft", "ttft-over-load"]);
    }

    #[test]
    fn a_chart_is_a_file_of_its_own_with_its_style() {
        let charts = sample_run::with_sweep(charts);
        let file = charts[0].file();
        assert!(file.starts_with("<?xml"), "{file}");
        assert_eq!(file.matches("<style>").count(), 1);
        assert_eq!(file.matches("<svg").count(), 1);
        let written = |text: &str| file.contains(&format!(">{}</text>", svg::escaped(text)));
        assert!(written(&charts[0].title), "the title is to be seen: {file}");
        let caption = wrapped(&charts[0].caption, WIDTH - 8.0, usize::MAX);
        assert!(!caption.is_empty() && caption.iter().all(|line| written(line)), "{file}");
    }
}
