//! Changes of subscribed views, shown above the prompt: one thread waits for each view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millstream::{Subscription, Update};
use rustyline::ExternalPrinter;

use super::output::read_change;
use super::render::{self, Failure, Format, Header, Style};
use super::report;

/// The threads at work.
#[derive(Default)]
pub struct Followers {
    followers: Vec<Follower>,
}

struct Follower {
    view: String,
    stopped: Arc<AtomicBool>,
}

impl Followers {
    /// Shows the changes of a view in the present style until it is removed.
    pub fn add(&mut self, subscription: Subscription, style: Style, printer: impl ExternalPrinter + Send + 'static) {
        let stopped = Arc::new(AtomicBool::new(false));
        self.followers.push(Follower { view: subscription.view().to_string(), stopped: stopped.clone() });
        thread::spawn(move || follow(subscription, &style, printer, &stopped));
    }

    /// Stops showing a view, or all; says whether there were any. The thread ends at the view's next change.
    pub fn remove(&mut self, view: Option<&str>) -> bool {
        let before = self.followers.len();
        self.followers.retain(|f| {
            let stays = view.is_some_and(|v| v != f.view);
            f.stopped.store(!stays, Ordering::Relaxed);
            stays
        });
        self.followers.len() < before
    }
}

fn follow(mut subscription: Subscription, style: &Style, mut printer: impl ExternalPrinter, stopped: &AtomicBool) {
    let mut header = Header::Shown;
    while let Some(change) = subscription.next() {
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        let text = text_of(subscription.view(), change, style, header);
        if printer.print(text).is_err() {
            return;
        }
        // The columns of a box would not line up with those of the box before.
        header = if style.format == Format::Table { Header::Shown } else { Header::Continued };
    }
    if !stopped.load(Ordering::Relaxed) {
        let _ = printer.print(format!("note: the subscription to `{}` has ended\n", subscription.view()));
    }
}

/// A change as the terminal shows it.
fn text_of(view: &str, change: Update, style: &Style, header: Header) -> String {
    let (rows, note) = match read_change(view, change) {
        Ok(read) => read,
        Err(error) => return report::plain(&error),
    };
    let mut text = note.map_or_else(String::new, |note| format!("{note}\n"));
    if let Some(rows) = rows {
        let mut shown = format!("{view}:\n").into_bytes();
        match render::write(&mut shown, &rows, style, header) {
            Ok(()) => text.push_str(&String::from_utf8_lossy(&shown)),
            Err(Failure::Value(error)) => text.push_str(&report::plain(&error)),
            Err(Failure::Io(error)) => text.push_str(&format!("error: {error}\n")),
        }
    }
    text
}
