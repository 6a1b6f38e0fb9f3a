//! Log lines: one event, one line, in Redis' form or as JSON.
//!
//!   2107:M 23 Nov 2026 09:15:00.123 * Ready to accept connections
//!
//! Process id, role, time (UTC), level (`.` debug, `-` verbose, `*` notice, `#` warning), text.
//! Tests and tools wait for some of these lines. Not known here: who logs what.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::clock::unix_ms;
use crate::config::{Config, Name};

/// What can be changed about the log while it is written.
#[derive(Default)]
pub struct Log {
    level: Option<reload::Handle<LevelFilter, Registry>>,
    /// True on a replica: shown in each line.
    pub is_replica: Arc<AtomicBool>,
}

impl Log {
    /// `loglevel`.
    pub fn set_level(&self, level: &str) {
        if let Some(handle) = &self.level
            && let Err(error) = handle.reload(filter(level))
        {
            tracing::warn!("failed to change the log level: {error}");
        }
    }
}

fn filter(level: &str) -> LevelFilter {
    match level {
        "debug" => LevelFilter::TRACE,
        "verbose" => LevelFilter::DEBUG,
        "warning" => LevelFilter::WARN,
        "nothing" => LevelFilter::OFF,
        _ => LevelFilter::INFO,
    }
}

/// Begins to log as the configuration says. A second call in one process changes nothing.
pub fn start(config: &Config) -> io::Result<Log> {
    let (level, handle) = reload::Layer::new(filter(config.text(Name::Loglevel)));
    let is_replica = Arc::new(AtomicBool::new(false));
    let sink = match config.text(Name::Logfile) {
        "" => BoxMakeWriter::new(io::stdout),
        path => {
            let file = File::options().append(true).create(true).open(path)?;
            BoxMakeWriter::new(Mutex::new(file))
        }
    };
    let registry = tracing_subscriber::registry().with(level);
    let started = match config.text(Name::LogFormat) {
        "json" => {
            let layer = tracing_subscriber::fmt::layer().json().with_writer(sink);
            registry.with(layer).try_init()
        }
        _ => {
            let lines = Lines { pid: std::process::id(), is_replica: Arc::clone(&is_replica) };
            let layer = tracing_subscriber::fmt::layer().event_format(lines).with_writer(sink);
            registry.with(layer.with_ansi(false)).try_init()
        }
    };
    let level = started.is_ok().then_some(handle);
    Ok(Log { level, is_replica })
}

struct Lines {
    pid: u32,
    is_replica: Arc<AtomicBool>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let role = if self.is_replica.load(Relaxed) { 'S' } else { 'M' };
        let level = match *event.metadata().level() {
            Level::ERROR | Level::WARN => '#',
            Level::INFO => '*',
            Level::DEBUG => '-',
            Level::TRACE => '.',
        };
        write!(writer, "{}:{role} {} {level} ", self.pid, timestamp(unix_ms()))?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// `23 Nov 2026 09:15:00.123`, UTC.
fn timestamp(unix_ms: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (seconds, millis) = (unix_ms / 1000, unix_ms % 1000);
    let (year, month, day) = civil_date((seconds / 86_400) as i64);
    let month = MONTHS.get(month - 1).copied().unwrap_or("???");
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    let _ = write!(text, "{day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{millis:03}");
    text
}

/// Year, month (from 1) and day of a day that is so many days after 1 January 1970.
///
/// Years are counted from 1 March, so that the leap day is the last one; an era is 400 years.
fn civil_date(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, usize::try_from(month).unwrap_or(1), day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_the_dates_of_the_calendar() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(11_017), (2000, 3, 1));
        assert_eq!(timestamp(1_795_424_461_007), "23 Nov 2026 09:01:01.007");
    }
}
