//! What a run knows of the reader's environment.

use std::collections::BTreeMap;

/// What every program may need.
const PROGRAM: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ"];
/// What cargo and the compiler need beside it: where things are, and how to get what is missing.
const TOOLS: [&str; 10] = [
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTFLAGS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// So do all that begin like this.
const TOOLS_BEGIN: [&str; 5] = [
    "RUSTUP_",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_SOURCE_",
];

/// For a reader's program.
pub(super) fn program() -> BTreeMap<String, String> {
    only(|name| PROGRAM.contains(&name))
}

/// For cargo and the compiler, and so for tests that cargo runs.
pub(super) fn tools() -> BTreeMap<String, String> {
    only(is_for_tools)
}

fn is_for_tools(name: &str) -> bool {
    let known = PROGRAM.contains(&name)
        || TOOLS.contains(&name)
        || TOOLS_BEGIN.iter().any(|start| name.starts_with(start));
    // What a registry lets its owner in by is for nobody else.
    known && !name.ends_with("_TOKEN")
}

fn only(wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| wanted(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_for_tools;

    #[test]
    fn tools_get_no_secrets() {
        assert!(is_for_tools("CARGO_REGISTRIES_OURS_INDEX"));
        for secret in [
            "CARGO_REGISTRIES_OURS_TOKEN",
            "CARGO_REGISTRY_TOKEN",
            "SSH_AUTH_SOCK",
        ] {
            assert!(!is_for_tools(secret), "{secret}");
        }
    }
}
