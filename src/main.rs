use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = kompetens::cli::Cli::parse();
    match kompetens::cli::run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("kompetens: {problem}");
            ExitCode::FAILURE
        }
    }
}
