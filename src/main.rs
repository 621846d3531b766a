//! The binary: see [`hero_logic::cli`].

fn main() -> std::process::ExitCode {
    hero_logic::cli::main()
}
