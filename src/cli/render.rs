//! The live picture: a forest of spans, a size and a time in, styled lines out. Pure.
//!
//! The picture always fits. Where there is no room for everything it folds, in steps: finished
//! siblings first (`✓ 182 more`), then what is below finished spans; running spans, failures and the
//! newest stay visible longest. What is folded away is counted, never silently left out.

use protocol::{EpochMs, Play, PlayStatus, SpanStatus};

use super::{
    style::{BOLD, DIM, Glyphs, Line, PLAIN, RED, words},
    term::Look,
    text::{first_line, width},
    tree::{Children, Forest, Node, Tree},
    units,
};

/// How long one picture of the spinner stands, milliseconds.
const SPIN_MS: f64 = 100.0;
const TIME_COLUMNS: usize = 9;

/// How much is shown of the children of one span.
#[derive(Clone, Copy)]
struct Detail {
    /// The newest of those that are well.
    well: usize,
    running: usize,
    bad: usize,
    /// Whether spans that are well show their children.
    unfold_well: bool,
}

const ALL: usize = usize::MAX;

const fn detail(well: usize, running: usize, bad: usize, unfold_well: bool) -> Detail {
    Detail {
        well,
        running,
        bad,
        unfold_well,
    }
}

/// From everything to almost nothing: the first one that fits is shown.
const DETAILS: [Detail; 12] = [
    detail(ALL, ALL, ALL, true),
    detail(8, ALL, ALL, true),
    detail(ALL, ALL, ALL, false),
    detail(8, ALL, ALL, false),
    detail(3, ALL, ALL, false),
    detail(1, ALL, 16, false),
    detail(1, 16, 8, false),
    detail(0, 16, 4, false),
    detail(0, 8, 3, false),
    detail(0, 4, 2, false),
    detail(0, 2, 1, false),
    detail(0, 1, 1, false),
];

/// Draws the play that a forest is about, in at most `rows` lines of at most `columns`.
pub(crate) fn render(forest: &Forest, size: (usize, usize), now: EpochMs, look: Look) -> Vec<Line> {
    render_steadily(forest, size, now, look, &mut 0)
}

/// The same for a series of pictures: `names` is how wide the widest name was so far. It never
/// shrinks, so that the times beside the names don't dance.
pub(crate) fn render_steadily(
    forest: &Forest,
    (columns, rows): (usize, usize),
    now: EpochMs,
    look: Look,
    names: &mut usize,
) -> Vec<Line> {
    let Some(tree) = forest.tree(&forest.root) else {
        return Vec::new();
    };
    let glyphs = Glyphs::of(look);
    let rows = rows.max(2);
    let mut drawn = Vec::new();
    for detail in DETAILS {
        let mut drawing = Drawing {
            forest,
            glyphs,
            now,
            detail,
            limit: rows,
            rows: Vec::new(),
            full: false,
        };
        drawing.header(tree);
        let top = tree.root().map(|root| &tree.nodes[root]);
        drawing.below(tree, top, "", 0);
        drawn = drawing.rows;
        if !drawing.full {
            break;
        }
    }
    if drawn.len() > rows {
        drawn.truncate(rows - 1);
        drawn.push(Row {
            head: Line::new().with(DIM, format!("{} more below", glyphs.ellipsis)),
            time: None,
            note: Line::new(),
        });
    }
    lay_out(drawn, columns, glyphs, names)
}

/// One line before the columns are laid out.
struct Row {
    head: Line,
    time: Option<f64>,
    note: Line,
}

struct Drawing<'a> {
    forest: &'a Forest,
    glyphs: &'static Glyphs,
    now: EpochMs,
    detail: Detail,
    limit: usize,
    rows: Vec<Row>,
    /// There was more than fits.
    full: bool,
}

/// What stands on one line under a parent.
enum Item<'a> {
    Span(&'a Tree, &'a Node),
    Folded {
        status: SpanStatus,
        count: usize,
        ms: Option<f64>,
    },
}

/// Nesting beyond this is not drawn: nobody could read it, and a play can nest without bound.
const MAX_DEPTH: usize = 64;

impl<'a> Drawing<'a> {
    fn push(&mut self, row: Row) {
        self.full |= self.rows.len() >= self.limit;
        if self.rows.len() <= self.limit {
            self.rows.push(row);
        }
    }

    fn tick(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "only its remainder counts, and `as` keeps it within bounds"
        )]
        let tick = (self.now.0 / SPIN_MS) as usize;
        tick
    }

    fn header(&mut self, tree: &Tree) {
        let Some(play) = &tree.play else {
            self.push(Row {
                head: Line::new().with(DIM, format!("{} connecting", self.glyphs.pending)),
                time: None,
                note: Line::new(),
            });
            return;
        };
        let (style, glyph) = self.glyphs.play(play.status, self.tick());
        let name = tree
            .root()
            .map_or_else(|| play_name(play), |root| tree.nodes[root].name.clone());
        let mut note = Line::new();
        let style_of_word = if play.status == PlayStatus::Running {
            DIM
        } else {
            style
        };
        note.push(style_of_word, words(play.status));
        if play.attempt > 1 {
            note.push(DIM, format!(", attempt {}", play.attempt));
        }
        note.push(DIM, format!("  {}", play.sid));
        self.push(Row {
            head: Line::new()
                .with(style, format!("{glyph} "))
                .with(BOLD, name),
            time: elapsed(play, self.now),
            note,
        });
    }

    /// Everything under a span (or, without one, under the play).
    fn below(&mut self, tree: &'a Tree, node: Option<&'a Node>, prefix: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let mut items = Vec::new();
        self.items(tree, node.map_or(&tree.roots, |n| &n.children), &mut items);
        if let Some(child) = node
            .and_then(|n| n.child_play.as_ref())
            .and_then(|sid| self.forest.tree(sid))
            && let Some(root) = child.root()
        {
            // The calling span stands for the child play: its root would only say it again.
            self.items(child, &child.nodes[root].children, &mut items);
        }
        let count = items.len();
        for (at, item) in items.into_iter().enumerate() {
            if self.full {
                return;
            }
            let last = at + 1 == count;
            let branch = if last {
                self.glyphs.last_branch
            } else {
                self.glyphs.branch
            };
            let trunk = if last { "   " } else { self.glyphs.trunk };
            match item {
                Item::Span(tree, node) => {
                    self.span(tree, node, format!("{prefix}{branch}"));
                    let well = matches!(node.status, SpanStatus::Ok | SpanStatus::Replayed);
                    if !well || self.detail.unfold_well {
                        self.below(tree, Some(node), &format!("{prefix}{trunk}"), depth + 1);
                    }
                }
                Item::Folded { status, count, ms } => {
                    let (style, glyph) = self.glyphs.span(status, self.tick());
                    let word = match status {
                        SpanStatus::Running => "more running",
                        SpanStatus::Ok => "more",
                        _ => "more failed",
                    };
                    let count = units::thousands(count as u64);
                    self.push(Row {
                        head: Line::new()
                            .with(DIM, format!("{prefix}{branch}"))
                            .with(style, format!("{glyph} "))
                            .with(DIM, format!("{count} {word}")),
                        time: ms,
                        note: Line::new(),
                    });
                }
            }
        }
    }

    /// The children that are shown, in start order, with what is folded away counted.
    fn items(&self, tree: &'a Tree, children: &'a Children, items: &mut Vec<Item<'a>>) {
        let Detail {
            well, running, bad, ..
        } = self.detail;
        let hidden_running = children.running.len().saturating_sub(running);
        let hidden_bad = children.bad.len().saturating_sub(bad);
        let shown_well = children.well().min(well);
        let mut shown: Vec<usize> = children.running.iter().take(running).copied().collect();
        shown.extend(children.bad.iter().take(bad));
        let newest = children.all.iter().rev();
        let mut well_ms = children.well_ms;
        // One more than fits is enough to know that it does not.
        for &at in newest
            .filter(|at| !children.running.contains(at) && !children.bad.contains(at))
            .take(shown_well.min(self.limit.saturating_add(1)))
        {
            well_ms -= tree.nodes[at].duration(self.now);
            shown.push(at);
        }
        shown.sort_unstable();
        let folded = |status, count, ms| (count > 0).then_some(Item::Folded { status, count, ms });
        let hidden_well = children.well() - shown_well;
        items.extend(folded(SpanStatus::Ok, hidden_well, Some(well_ms)));
        items.extend(
            shown
                .into_iter()
                .map(|at| Item::Span(tree, &tree.nodes[at])),
        );
        items.extend(folded(SpanStatus::Failed, hidden_bad, None));
        items.extend(folded(SpanStatus::Running, hidden_running, None));
    }

    fn span(&mut self, tree: &Tree, node: &Node, prefix: String) {
        let (style, glyph) = if node.waits() {
            self.glyphs.play(PlayStatus::AwaitingResume, self.tick())
        } else {
            self.glyphs.span(node.status, self.tick())
        };
        let name = match node.status {
            SpanStatus::Failed => RED,
            _ => PLAIN,
        };
        let head = Line::new()
            .with(DIM, prefix)
            .with(style, format!("{glyph} "))
            .with(name, node.name.clone());
        let mut note = Line::new();
        let child = node.child_play.as_ref();
        let child_tree = child.and_then(|sid| self.forest.tree(sid));
        match &node.error {
            Some(_) if node.waits() => note.push(DIM, "waits"),
            Some(error) if !self.told_below(tree, node, child_tree, error) => {
                note.push(RED, error.clone());
            }
            Some(_) => {}
            None if node.status == SpanStatus::Replayed => note.push(DIM, "replayed"),
            None => note.push(DIM, node.note.clone()),
        }
        if let Some(sid) = child {
            let pending = child_tree
                .and_then(|t| t.play.as_ref())
                .is_some_and(|p| p.status == PlayStatus::Pending);
            let waits = if pending { " waiting for a slot" } else { "" };
            let gap = if note.width() > 0 { "  " } else { "" };
            note.push(DIM, format!("{gap}{} {sid}{waits}", self.glyphs.arrow));
        }
        self.push(Row {
            head,
            time: Some(node.duration(self.now)),
            note,
        });
    }

    /// Whether a visible span below says the same: an exception passes through all its ancestors.
    fn told_below(&self, tree: &Tree, node: &Node, child: Option<&Tree>, error: &str) -> bool {
        let same = |tree: &Tree, children: &Children| {
            children
                .bad
                .iter()
                .take(self.detail.bad)
                .any(|at| tree.nodes[*at].error.as_deref() == Some(error))
        };
        same(tree, &node.children)
            || child.is_some_and(|tree| {
                tree.root()
                    .is_some_and(|root| same(tree, &tree.nodes[root].children))
            })
    }
}

/// How long a play has run, or ran.
pub(crate) fn elapsed(play: &Play, now: EpochMs) -> Option<f64> {
    play.duration_ms
        .or_else(|| Some(play.completed_at.unwrap_or(now).since(play.started_at?)))
}

/// What a play is called.
pub(crate) fn play_name(play: &Play) -> String {
    first_line(play.flow_name.as_ref().unwrap_or(&play.workflow_name)).into_owned()
}

/// Sets names, times and notes in columns.
fn lay_out(rows: Vec<Row>, columns: usize, glyphs: &Glyphs, widest_name: &mut usize) -> Vec<Line> {
    let timed = rows.iter().filter(|row| row.time.is_some());
    let widest = timed.map(|row| row.head.width()).max().unwrap_or(0);
    *widest_name = widest.max(*widest_name);
    let names = (*widest_name).max(16).min(
        (columns * 3 / 5)
            .max(columns.saturating_sub(TIME_COLUMNS + 24))
            .max(1),
    );
    rows.into_iter()
        .map(|row| {
            let mut line = row.head;
            if let Some(ms) = row.time {
                line = line.cut(names, glyphs);
                line.pad_to(names);
                let time = units::duration(ms);
                let pad = TIME_COLUMNS.saturating_sub(width(&time));
                line.push(DIM, format!(" {}{time}  ", " ".repeat(pad)));
            }
            line.append(row.note);
            line.cut(columns, glyphs)
        })
        .collect()
}

#[cfg(test)]
mod tests;
