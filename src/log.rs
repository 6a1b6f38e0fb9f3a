//! How the operator's log looks: one line an event, JSON or text, whole sentences.
//!
//! Not known here: what is worth a line.

use tracing_subscriber::EnvFilter;

/// Shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people at a terminal.
    Text,
}

/// Starts logging to standard error. `level` is a filter of the tracing crate, for example `info`
/// or `holdfast=debug,info`.
///
/// # Errors
/// Tells what is wrong with `level`, or that logging has been started before.
pub fn start(format: LogFormat, level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level)
        .map_err(|e| format!("failed to read the log level {level:?}: {e}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => lines.compact().try_init(),
    };
    started.map_err(|e| format!("failed to start logging: {e}"))
}
