//! Parse, run, print the one error, exit.

use std::env;
use std::future::pending;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;

use fetch::cli::{self, Command, Environment, UsageOutput, UsageStream};
use fetch::commands::dry_run::{self, PreviewError};
use fetch::commands::fetch as run;
use fetch::commands::help;
use fetch::commands::report;
use fetch::commands::verify::{self, VerifyError};
use fetch::compare::Comparison;
use fetch::compare::{self, CompareFormat, CompareOutcome};
use fetch::engine::{self, CancelToken};
use fetch::exit::{self, Exit};
use fetch::plan::{Plan, ReportCommand, VerifyOptions};
use fetch::report::{Outputs, ReplayError};
use fetch::serve::{self, Until};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// For each URL many small things are made by one thread and dropped by another.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let around = Environment {
        variable: &|name| env::var_os(name),
        home: env::home_dir(),
        stdin_is_terminal: io::stdin().is_terminal(),
    };
    match cli::parse(env::args_os(), &around) {
        Ok(Command::Fetch(plan)) => fetch(&plan),
        Ok(Command::DryRun(plan)) => preview(&plan),
        Ok(Command::Verify(options)) => verify(&options),
        Ok(Command::Report(asked)) => rereport(&asked),
        Ok(Command::Serve(options)) => told(serve(options)),
        Ok(Command::Compare(options)) => compare(&options),
        Ok(Command::Completions(completions)) => {
            told(completions.write(&mut io::stdout()).map_err(anyhow::Error::from))
        }
        Ok(Command::Help(page)) => told(help::show(&page).map_err(anyhow::Error::from)),
        Ok(Command::Child) => seat(),
        Err(usage) => explain(&usage),
    }
}

fn fetch(plan: &Plan) -> ExitCode {
    let stop = CancelToken::default();
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
    let told = dry_run::preview(plan, &mut out);
    match &told {
        Err(PreviewError::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => eprintln!("fetch: {error}"),
        Ok(counts) if *counts == dry_run::EntryCounts::default() => {
            eprintln!("fetch: the list is empty; nothing would be fetched");
        }
        Ok(_) => {}
    }
    Exit::of_preview(&told).into()
}

/// Tells what has become of a folder that was saved to.
fn verify(options: &VerifyOptions) -> ExitCode {
    let mut out = BufWriter::new(io::stdout());
    let told = verify::verify(options, &mut out, |notice| eprintln!("fetch: {notice}"));
    // What a reader who has gone did not take is no error, and not to be tried again.
    let _ = out.into_parts();
    match &told {
        Err(VerifyError::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => eprintln!("fetch: {error}"),
        Ok(_) => {}
    }
    Exit::of_verify(&told).into()
}

/// Reports a saved run or comparison. A reader who has gone has seen enough.
fn rereport(asked: &ReportCommand) -> ExitCode {
    let told = report::report(asked, &mut io::stdout(), &mut io::stderr());
    match &told {
        Err(ReplayError::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => eprintln!("fetch: {error}"),
        Ok(_) => {}
    }
    Exit::of_rereport(&told).into()
}

/// Makes transfers for another process.
fn seat() -> ExitCode {
    match engine::run_child() {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            eprintln!("fetch: {error}");
            Exit::Fatal.into()
        }
    }
}

fn serve(options: serve::Options) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let until = options.until;
    runtime.block_on(async {
        let origin = serve::bind(options).await?;
        writeln!(io::stdout(), "Listening on http://{}", origin.address())?;
        match until {
            Until::Killed => origin.serve(pending()).await,
            Until::EndOfInput => origin.serve(end_of_input()?).await,
        }
    })
}

/// Is ready when standard input ends, or cannot be read.
fn end_of_input() -> io::Result<impl Future<Output = ()>> {
    let (tell, ended) = oneshot::channel();
    thread::Builder::new().name("input".into()).spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tell.send(())
    })?;
    Ok(async move { drop(ended.await) })
}

fn compare(options: &compare::Options) -> ExitCode {
    let stop = CancelToken::default();
    if let Err(error) = exit::on_signals(&stop) {
        eprintln!("fetch: signals cannot be listened for: {error}");
        return Exit::Fatal.into();
    }
    let compared = compare::compare(options, &|| stop.cause().is_some());
    let code = Exit::of_comparison(&compared, stop.cause());
    let CompareOutcome { comparison, files } = match compared {
        Ok(compared) => compared,
        Err(error) => {
            eprintln!("fetch: {:#}", error.into_inner());
            return code.into();
        }
    };
    let printed = tell(&comparison, options.format);
    if let Err(error) = files.finish(&comparison) {
        eprintln!("fetch: cannot write the report: {error}");
        return Exit::Fatal.into();
    }
    match printed {
        Ok(()) => code.into(),
        error => told(error.map_err(anyhow::Error::from)),
    }
}

fn tell(comparison: &Comparison, format: CompareFormat) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match format {
        CompareFormat::Text => out.write_all(compare::table(comparison).as_bytes())?,
        CompareFormat::Json => {
            serde_json::to_writer(&mut out, comparison)?;
            writeln!(out)?;
        }
    }
    out.flush()
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
fn explain(usage: &UsageOutput) -> ExitCode {
    let _ = match usage.to {
        UsageStream::Stdout => io::stdout().write_all(usage.text.as_bytes()),
        UsageStream::Stderr => io::stderr().write_all(usage.text.as_bytes()),
    };
    usage.code.into()
}
