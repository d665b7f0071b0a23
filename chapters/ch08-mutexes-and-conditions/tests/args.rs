//! The command line: what is taken, and what is said about the rest.

use std::path::PathBuf;
use std::time::Duration;

use ch08_mutexes_and_conditions::{Address, Args, ArgsError};

fn parse(args: &[&str]) -> Result<Vec<Address>, ArgsError> {
    Args::parse(args.iter().map(|&arg| arg.to_owned())).map(|args| args.listen)
}

fn address(text: &str) -> Vec<Address> {
    vec![Address::Tcp(vec![text.parse().unwrap()])]
}

#[test]
fn addresses_are_taken() {
    assert_eq!(parse(&[]), Ok(address("127.0.0.1:7007")));
    assert_eq!(parse(&["--listen", "[::1]:0"]), Ok(address("[::1]:0")));
    let both = parse(&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"]);
    let expected = [address("127.0.0.1:1"), address("127.0.0.1:2")].concat();
    assert_eq!(both, Ok(expected), "all count, in their order");
    let named = parse(&["--listen", "localhost:0"]).unwrap();
    let [Address::Tcp(named)] = &named[..] else {
        panic!("{named:?}");
    };
    assert!(
        !named.is_empty() && named.iter().all(|a| a.ip().is_loopback()),
        "{named:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_an_address() {
    let path = |text: &str| Address::Unix(PathBuf::from(text));
    for (text, wanted) in [
        ("unix:/run/echo", "/run/echo"),
        ("unix:echo.sock", "echo.sock"),
        ("unix:127.0.0.1:7007", "127.0.0.1:7007"),
        ("unix:unix:x", "unix:x"),
    ] {
        assert_eq!(parse(&["--listen", text]), Ok(vec![path(wanted)]));
    }
    let both = parse(&["--listen", "unix:echo", "--listen", "[::1]:0"]);
    assert_eq!(both, Ok([vec![path("echo")], address("[::1]:0")].concat()));
}

#[test]
fn help_is_not_a_mistake() {
    assert_eq!(parse(&["--help"]), Err(ArgsError::Help));
    assert_eq!(
        parse(&["--listen", "127.0.0.1:0", "-h"]),
        Err(ArgsError::Help)
    );
}

#[test]
fn mistakes_are_named_and_what_is_allowed_is_said() {
    for (args, mistake) in [
        (&["--lissten"][..], "unknown argument `--lissten`"),
        (&["7007"], "unknown argument `7007`"),
        (&["--listen"], "--listen needs ADDR"),
        (&["--listen", "7007"], "no address for `7007`"),
        (
            &["--listen", "127.0.0.1:65536"],
            "no address for `127.0.0.1:65536`",
        ),
        (&["--listen", ""], "no address for ``"),
        (&["--listen", "unix:"], "no path in `unix:`"),
        (&["--domains", "1001"], "--domains needs a number from 0"),
        (&["--max-clients"], "--max-clients needs a number, 1 or"),
        (&["--max-clients", "0"], "--max-clients needs a number, 1"),
        (&["--grace", "-1"], "--grace needs a number of seconds"),
        (&["--trace"], "--trace needs FILE"),
    ] {
        let Err(ArgsError::Wrong(message)) = parse(args) else {
            panic!("{args:?} is accepted");
        };
        assert!(message.contains(mistake), "{args:?}: {message}");
        assert!(
            message.contains("--listen HOST:PORT"),
            "{args:?}: {message}"
        );
    }
}

#[test]
fn an_idle_timeout_is_a_number_of_seconds_and_zero_is_for_ever() {
    let timeout = |args: &[&str]| {
        let args = Args::parse(args.iter().map(|&arg| arg.to_owned()));
        args.map(|args| args.idle_timeout)
    };
    assert_eq!(timeout(&[]), Ok(Duration::from_secs(300)));
    for (text, wanted) in [
        ("30", Duration::from_secs(30)),
        ("0.5", Duration::from_millis(500)),
        ("1e3", Duration::from_secs(1000)),
        ("0", Duration::MAX),
        ("0.0", Duration::MAX),
    ] {
        assert_eq!(timeout(&["--idle-timeout", text]), Ok(wanted), "{text}");
    }
    for args in [
        &["--idle-timeout"][..],
        &["--idle-timeout", "-1"],
        &["--idle-timeout", "soon"],
        &["--idle-timeout", "NaN"],
        &["--idle-timeout", "inf"],
        &["--idle-timeout", "1e30"],
        &["--idle-timeout", ""],
    ] {
        let Err(ArgsError::Wrong(message)) = timeout(args) else {
            panic!("{args:?} is accepted");
        };
        let mistake = "--idle-timeout needs a number of seconds";
        assert!(message.starts_with(mistake), "{args:?}: {message}");
        assert!(message.contains("--idle-timeout SECONDS"), "{message}");
    }
}

#[test]
fn the_rest_has_its_values_too() {
    let parse = |args: &[&str]| Args::parse(args.iter().map(|&arg| arg.to_owned())).unwrap();
    let args = parse(&[]);
    assert_eq!(args.grace, Duration::from_secs(5));
    assert_eq!((args.domains, args.max_clients), (None, usize::MAX));
    assert_eq!(args.trace, None);
    let args = parse(&["--grace", "0", "--domains", "0", "--max-clients", "1"]);
    assert_eq!(args.grace, Duration::ZERO, "at once");
    assert_eq!((args.domains, args.max_clients), (Some(0), 1));
    let args = parse(&["--trace", "out.json", "--grace", "0.25"]);
    assert_eq!(args.grace, Duration::from_millis(250));
    assert_eq!(args.trace, Some(PathBuf::from("out.json")));
}
