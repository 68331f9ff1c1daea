//! Parse, run, print the one error, exit.

use std::env;
use std::future::pending;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use fetch::cli::{self, Command, Stream, Surroundings, Usage};
use fetch::engine::{self, Stop};
use fetch::exit::{self, Exit};
use fetch::plan::Plan;
use fetch::preview::{self, PreviewError};
use fetch::report::Outputs;
use fetch::run;
use fetch::serve;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let around = Surroundings {
        variable: &|name| env::var_os(name),
        home: env::home_dir(),
        stdin_is_terminal: io::stdin().is_terminal(),
    };
    match cli::parse(env::args_os(), &around) {
        Ok(Command::Fetch(plan)) => fetch(&plan),
        Ok(Command::DryRun(plan)) => preview(&plan),
        Ok(Command::Serve(options)) => told(serve(options)),
        Ok(Command::Completions(completions)) => {
            told(completions.write(&mut io::stdout()).map_err(anyhow::Error::from))
        }
        Ok(Command::Seat) => seat(),
        Err(usage) => explain(&usage),
    }
}

fn fetch(plan: &Plan) -> ExitCode {
    let stop = Stop::default();
    if let Err(error) = exit::on_signals(&stop) {
        eprintln!("fetch: signals cannot be listened for: {error}");
        return Exit::Fatal.into();
    }
    let colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let ended = run::run(plan, Outputs::of_process(colour), &stop);
    if let Some(error) = run::error_of(&ended) {
        eprintln!("fetch: {error:#}");
    }
    Exit::of(&ended).into()
}

/// Tells what a run would do. A reader who has gone has seen enough.
fn preview(plan: &Plan) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let told = preview::preview(plan, &mut out);
    match &told {
        Err(PreviewError::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => eprintln!("fetch: {error}"),
        Ok(counts) if *counts == preview::Counts::default() => {
            eprintln!("fetch: the list is empty; nothing would be fetched");
        }
        Ok(_) => {}
    }
    Exit::of_preview(&told).into()
}

/// Makes transfers for another process.
fn seat() -> ExitCode {
    match engine::sit() {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            eprintln!("fetch: {error}");
            Exit::Fatal.into()
        }
    }
}

fn serve(options: serve::Options) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let origin = serve::bind(options).await?;
        writeln!(io::stdout(), "Listening on http://{}", origin.address())?;
        origin.serve(pending()).await
    })
}

/// Prints what a command that is not a run has come to.
fn told(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => Exit::Ok.into(),
        Err(error) if is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            eprintln!("fetch: {error:#}");
            Exit::Fatal.into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints help, or what is wrong with what was typed. A reader who has gone is no error.
fn explain(usage: &Usage) -> ExitCode {
    let _ = match usage.to {
        Stream::Stdout => io::stdout().write_all(usage.text.as_bytes()),
        Stream::Stderr => io::stderr().write_all(usage.text.as_bytes()),
    };
    usage.code.into()
}
