//! Draws a view into a frame; the same view gives the same frame.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType, Paragraph};

use crate::cli::progress_line::{cut, figures, folded, shown};
use crate::cli::screen::curves::{Curve, Curves};
use crate::cli::screen::machine::Machine;
use crate::cli::screen::view::{CellRow, CellState, Second, View};
use crate::report::number::counted;

/// Columns from which log and notes stand side by side.
const WIDE: u16 = 100;
/// Rows below which there are no curves, and below which there are cells alone.
const LOW: u16 = 20;
const LOWEST: u16 = 12;
/// Rows of the screen for each of which a GPU has a line of its own.
const ROWS_PER_GPU: u16 = 12;
/// Points that a column of Braille has.
const POINTS_PER_COLUMN: u16 = 2;
/// Columns that the numbers beside a curve take.
const AXIS_COLUMNS: u16 = 6;

/// What stands out without colours, too.
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

const KEYS: &str = "q or Ctrl-C ends the run in order, keeping what is measured";
const ENDING: &str = "ending requests and engines, keeping what is measured; q or Ctrl-C: at once";

/// What was seen beside the events: counts, samples, the engine's log.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) curves: Curves,
    pub(super) machine: Machine,
    /// The last lines of the running engine's log.
    pub(super) log: Vec<String>,
    /// Caveats, failures, starts: the newest last.
    pub(super) notes: Vec<String>,
    /// Whether the user has asked the run to end.
    pub(super) is_ending: bool,
    pub(super) is_coloured: bool,
}

/// Draws all of it; what matters least goes first where there is little room.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View<'_>, seen: &Seen) {
    let mut rest = frame.area();
    let tint = Tint(seen.is_coloured);
    let head = top(&mut rest, 1);
    frame.render_widget(Paragraph::new(title(view, head.width)).style(BOLD), head);
    let now = top(&mut rest, 1);
    let is_running = view.line.is_some();
    let style = if is_running { tint.colour(Color::Cyan) } else { Style::new() };
    frame.render_widget(Paragraph::new(doing(view, now.width)).style(style), now);
    let foot = bottom(&mut rest, 1);
    let keys = cut(if seen.is_ending { ENDING } else { KEYS }.to_owned(), foot.width.into());
    frame.render_widget(Paragraph::new(keys).style(tint.dim()), foot);
    let height = frame.area().height;
    if height < LOWEST {
        return cells(frame, rest, view, tint);
    }
    let (log, notes) = texts(&mut rest);
    lines(frame, log, " engine log ", &seen.log, tint);
    lines(frame, notes, " notes ", &seen.notes, tint);
    let machine = machine(seen, (height / ROWS_PER_GPU).into());
    let area = bottom(&mut rest, machine.len() as u16);
    let machine: Vec<Text<'_>> = machine.into_iter().map(Text::from).collect();
    frame.render_widget(Paragraph::new(machine), area);
    if height >= LOW {
        let area = bottom(&mut rest, (height / 4).clamp(6, 12));
        curves(frame, area, view, seen, tint);
    }
    cells(frame, rest, view, tint);
}

/// What a curve shows of each second.
type Quantity = fn(&Second) -> Option<f64>;

/// Colours, where the user wants them.
#[derive(Clone, Copy)]
struct Tint(bool);

impl Tint {
    fn colour(self, colour: Color) -> Style {
        if self.0 { Style::new().fg(colour) } else { Style::new() }
    }

    fn dim(self) -> Style {
        if self.0 { Style::new().add_modifier(Modifier::DIM) } else { Style::new() }
    }

    fn of(self, state: CellState) -> Style {
        match state {
            CellState::Running => self.colour(Color::Cyan),
            CellState::Measured => self.colour(Color::Green),
            CellState::Failed => self.colour(Color::Red),
            CellState::Interrupted => self.colour(Color::Yellow),
            CellState::Waiting | CellState::Skipped => self.dim(),
        }
    }
}

fn title(view: &View<'_>, width: u16) -> String {
    let time = match view.whole {
        Some((elapsed, all)) => format!("{} of about {}", shown(elapsed), shown(all.max(elapsed))),
        None => shown(view.elapsed),
    };
    let room = usize::from(width).saturating_sub(time.chars().count() + 2);
    let title = cut(view.title.to_owned(), room);
    format!("{title:room$}  {time}")
}

fn doing(view: &View<'_>, width: u16) -> String {
    match &view.line {
        Some(line) => line.fitted(width.into()),
        None => cut(view.waiting.to_owned(), width.into()),
    }
}

fn cells(frame: &mut Frame<'_>, area: Rect, view: &View<'_>, tint: Tint) {
    let count = |state| view.rows.values().filter(|row| row.state == state).count();
    let counts = [
        CellState::Running,
        CellState::Measured,
        CellState::Failed,
        CellState::Skipped,
        CellState::Interrupted,
        CellState::Waiting,
    ];
    let counts = counts.map(|state| (count(state), state)).into_iter().filter(|(n, _)| *n > 0);
    let counts: Vec<String> = counts.map(|(n, state)| format!("{n} {state}")).collect();
    let n_cells = view.rows.len();
    let title = format!(" {}: {} ", counted(n_cells as u64, "cell"), counts.join(", "));
    let inner = panel(frame, area, &title, tint);
    let n_shown = usize::from(inner.height).min(n_cells);
    // The current row stays in the middle.
    let first = view.current.saturating_sub(n_shown / 2).min(n_cells - n_shown);
    let rows: Vec<&CellRow> = view.rows.values().skip(first).take(n_shown).collect();
    let longest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let room = longest.min(usize::from(inner.width / 2));
    let rows = rows.iter().map(|row| {
        let name = cut(row.name.clone(), room);
        let state = Span::styled(format!("{:11}", row.state), tint.of(row.state));
        Text::from(vec![state, Span::raw(format!(" {name:room$}  {}", row.told))])
    });
    frame.render_widget(Paragraph::new(rows.collect::<Vec<_>>()), inner);
}

fn curves(frame: &mut Frame<'_>, area: Rect, view: &View<'_>, seen: &Seen, tint: Tint) {
    let width = area.width / 3;
    let n_seconds = usize::from(width.saturating_sub(AXIS_COLUMNS) * POINTS_PER_COLUMN);
    let are_chunks = view.line.as_ref().is_some_and(|line| line.rate.is_of_chunks);
    let unit = if are_chunks { "chunks/s" } else { "tok/s" };
    let quantities: [(&str, Quantity); 3] = [
        (unit, |second| second.n_tokens),
        ("TTFT p50, ms", |second| second.ttft_ms),
        ("TPOT p50, ms", |second| second.tpot_ms),
    ];
    for (at, (name, of)) in quantities.into_iter().enumerate() {
        let x = area.x + at as u16 * width;
        let width = if at == 2 { area.right() - x } else { width };
        let curve = seen.curves.curve(n_seconds, of);
        let last = curve.last.map_or_else(String::new, |last| format!("{} ", figures(last)));
        let title = format!(" {name} {last}");
        let inner = panel(frame, Rect { x, width, ..area }, &title, tint);
        chart(frame, inner, &curve, n_seconds, tint);
    }
}

fn chart(frame: &mut Frame<'_>, area: Rect, curve: &Curve, n_seconds: usize, tint: Tint) {
    if curve.pieces.is_empty() {
        return frame.render_widget(Paragraph::new("nothing yet").style(tint.dim()), area);
    }
    let pieces = curve.pieces.iter().map(|piece| {
        let dots = Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line);
        dots.style(tint.colour(Color::Cyan)).data(piece)
    });
    // All curves begin at zero: a small wobble is not to look like a great one.
    let max = if curve.max > 0.0 { curve.max * 1.05 } else { 1.0 };
    let n_digits = usize::from(AXIS_COLUMNS) - 1;
    let labels = ["0".to_owned(), figures(max)].map(|label| format!("{label:>n_digits$}"));
    let chart = Chart::new(pieces.collect())
        .x_axis(Axis::default().bounds([-(n_seconds as f64), 0.0]))
        .y_axis(Axis::default().bounds([0.0, max]).labels(labels).style(tint.dim()));
    frame.render_widget(chart, area);
}

/// Returns a line for host and engine, and one for each GPU, as far as there are so many rows.
fn machine(seen: &Seen, n_rows: usize) -> Vec<String> {
    let mut gpus = seen.machine.gpus();
    let n_more = gpus.len().saturating_sub(n_rows);
    gpus.truncate(n_rows);
    if let (Some(last), true) = (gpus.last_mut(), n_more > 0) {
        *last = format!("{last}   and {n_more} more GPUs");
    }
    std::iter::once(seen.machine.host_and_engine()).chain(gpus).collect()
}

/// Takes the areas of log and notes from the bottom: side by side where there is room.
fn texts(rest: &mut Rect) -> (Rect, Rect) {
    let all = bottom(rest, rest.height / 3);
    if all.width >= WIDE {
        let width = all.width / 2;
        let right = Rect { x: all.x + width, width: all.width - width, ..all };
        return (Rect { width, ..all }, right);
    }
    let mut upper = all;
    let lower = bottom(&mut upper, all.height / 2);
    (upper, lower)
}

/// Shows the last lines that there is room for.
fn lines(frame: &mut Frame<'_>, area: Rect, title: &str, all: &[String], tint: Tint) {
    let inner = panel(frame, area, title, tint);
    let n_shown = usize::from(inner.height);
    let newest = all[all.len().saturating_sub(n_shown)..].iter();
    let folded: Vec<String> = newest
        .flat_map(|line| {
            let lines = folded(line, usize::from(inner.width.saturating_sub(1)));
            lines.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let newest = folded[folded.len().saturating_sub(n_shown)..].iter();
    frame.render_widget(
        Paragraph::new(newest.map(|line| Text::from(line.as_str())).collect::<Vec<_>>()),
        inner,
    );
}

/// Draws a line with a title over an area; returns what is below.
fn panel(frame: &mut Frame<'_>, area: Rect, title: &str, tint: Tint) -> Rect {
    let block = Block::new().borders(Borders::TOP).border_style(tint.dim());
    let block = block.title(Span::styled(title, BOLD));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// Takes rows from the top of what is left.
fn top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    *rest = Rect { y: rest.y + height, height: rest.height - height, ..*rest };
    taken
}

/// Takes rows from the bottom of what is left.
fn bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect { y: rest.y + rest.height, height, ..*rest }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use indexmap::IndexMap;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::cli::progress_line::{Line, Rate};
    use crate::ids::CellId;
    use crate::record::gauge::Gauge;
    use crate::record::telemetry::{TelemetrySample, TelemetrySource};
    use crate::units::Nanos;

    fn rows() -> IndexMap<CellId, CellRow> {
        let row = |(at, (state, told)): (usize, (CellState, &str))| {
            let name = format!("vllm c={}", 1 << at);
            (CellId(format!("c{at}")), CellRow { name, state, told: told.to_owned() })
        };
        let rows = [
            (CellState::Measured, "9s  654 tok/s  TTFT 40.0 ms  TPOT 5.00 ms"),
            (CellState::Failed, "no token for 120 s with 3 requests in flight"),
            (CellState::Skipped, "the engine failed in vllm c=2; `skip-after = \"failure\"`"),
            (CellState::Running, ""),
            (CellState::Waiting, ""),
            (CellState::Waiting, ""),
            (CellState::Waiting, ""),
            (CellState::Waiting, ""),
        ];
        rows.into_iter().enumerate().map(row).collect()
    }

    fn line() -> Line {
        Line {
            position: "[3/8]".to_owned(),
            name: "vllm c=8".to_owned(),
            phase: "load".to_owned(),
            share: Some(0.25),
            elapsed: Duration::from_secs(5),
            left: Some(Duration::from_secs(15)),
            rate: Rate { per_s: 1536.2, is_of_chunks: false },
            ttft_ms: Some(30.12),
            tpot_ms: Some(5.0),
            n_errors: 2,
            whole: None,
        }
    }

    fn seen() -> Seen {
        let mut seen = Seen::default();
        for at in 0..90 {
            // An engine is loaded in the middle.
            let value = |value: f64| (!(30..50).contains(&at)).then_some(value);
            seen.curves.push(Second {
                n_tokens: value(1500.0 + 300.0 * f64::from(at % 7)),
                ttft_ms: value(30.0 + f64::from(at)),
                tpot_ms: value(5.0),
            });
        }
        let gpu = |n: u32| TelemetrySource::Gpu(format!("GPU-{n:08x}-1111"));
        for n in 0..6 {
            let values = [(Gauge::UtilisationPct, 97.0), (Gauge::PowerW, 412.0)];
            let values = values.into_iter().collect();
            let (at, absent) = (Nanos::ZERO, BTreeMap::new());
            seen.machine.take(TelemetrySample { at, source: gpu(n), values, absent });
        }
        seen.log = (0..40).map(|n| format!("INFO loading shard {n} of 40")).collect();
        seen.log.push("WARNING ".to_owned() + &"a line that is longer than the screen ".repeat(5));
        seen.notes = vec![
            "note: other programs used 1.3 of 2 processors before the run: python3 (pid 77) 0.9"
                .to_owned(),
            "! engine failed: no token for 120 s with 3 requests in flight".to_owned(),
        ];
        seen
    }

    fn drawn(columns: u16, rows_high: u16, view: &View<'_>, seen: &Seen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows_high)).unwrap();
        terminal.draw(|frame| draw(frame, view, seen)).unwrap();
        terminal.backend().to_string()
    }

    fn view(rows: &IndexMap<CellId, CellRow>) -> View<'_> {
        View {
            title: "TinyLlama-1.1B on GSM8K",
            rows,
            current: 3,
            line: Some(line()),
            waiting: "",
            whole: Some((Duration::from_secs(80), Duration::from_mins(4))),
            elapsed: Duration::from_secs(80),
        }
    }

    #[test]
    fn a_run_is_shown_on_screens_of_three_sizes() {
        let rows = rows();
        for (columns, height) in [(80, 24), (100, 30), (160, 50)] {
            let name = format!("{columns}x{height}");
            insta::assert_snapshot!(name, drawn(columns, height, &view(&rows), &seen()));
        }
    }

    #[test]
    fn before_anything_is_measured_the_screen_says_what_is_waited_for() {
        let rows: IndexMap<_, _> = rows()
            .into_iter()
            .map(|(id, row)| {
                (id, CellRow { state: CellState::Waiting, told: String::new(), ..row })
            })
            .collect();
        let waiting =
            "vllm: 12 s of 30 min, waiting for http://127.0.0.1:8000/health: connection refused";
        let view = View { line: None, waiting, whole: None, current: 0, ..view(&rows) };
        insta::assert_snapshot!("waiting", drawn(80, 24, &view, &Seen::default()));
    }

    #[test]
    fn no_size_of_a_terminal_is_too_small_or_too_large() {
        let rows = rows();
        let none = IndexMap::new();
        for (columns, height) in [(1, 1), (2, 3), (7, 5), (20, 11), (39, 13), (60, 19), (300, 90)] {
            for rows in [&rows, &none] {
                let text = drawn(columns, height, &view(rows), &seen());
                assert_eq!(text.lines().count(), usize::from(height), "{columns}x{height}");
            }
        }
        let text = drawn(20, 11, &view(&rows), &seen());
        assert!(text.contains("running"), "{text}");
    }
}
