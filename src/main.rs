//! The binary: see [`hero_logic::main`].

fn main() -> std::process::ExitCode {
    hero_logic::main()
}
