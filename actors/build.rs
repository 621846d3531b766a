//! Builds the extension module of the fork server, which the binary carries beside the SDK.

use std::{env, path::PathBuf, process::ExitCode};

const SOURCE: &str = "src/process/warm/fork.c";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={SOURCE}");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return failed("OUT_DIR is not set");
    };
    let module = out.join("_fork.abi3.so");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        // There plays start cold.
        return match std::fs::write(&module, b"") {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format!("failed to write {}: {error}", module.display())),
        };
    }
    let compiler = cc::Build::new().get_compiler();
    let status = compiler
        .to_command()
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"])
        // Each symbol is found in the Python, and the libc, that loads it.
        .args(["-nostdlib", "-fvisibility=hidden", "-s", "-o"])
        .arg(&module)
        .arg(SOURCE)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => failed(&format!(
            "the C compiler could not build {SOURCE}: {status}"
        )),
        Err(error) => failed(&format!("there is no C compiler: {error}")),
    }
}

fn failed(why: &str) -> ExitCode {
    println!("cargo::error={why}");
    ExitCode::FAILURE
}
