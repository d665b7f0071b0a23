//! The suite held to its word: it passes a server that is right, and finds what is wrong with others.

use std::env;
use std::time::Duration;

use book_tests::servers::{PATIENCE, Program, Result};

use crate::properties::{Check, TABLE};
use crate::{a_small_soak, bad};

/// Enough for an answer that never comes.
const SHORT: Duration = Duration::from_secs(2);

/// A bad server, a property that it does not have, part of what must be said about it, and how long
/// clients wait: where the fault is that nothing happens, not long.
#[rustfmt::skip] // a line for each
const CAUGHT: &[(&str, &str, &str, Duration)] = &[
    ("swaps", "five_hundred_clients", "instead of", PATIENCE),
    ("loses_the_last_byte", "one_client", "the client: no more than", SHORT),
    ("loses_the_last_byte", "half_close", "the end came after 65535 of 65536 bytes", PATIENCE),
    ("loses_the_last_byte", "eight_megabytes", "the end came after", PATIENCE),
    ("loses_the_last_byte", "a_slow_reader", "a client beside it: no more than", SHORT),
    ("ends_too_early", "half_close", "the end came after", PATIENCE),
    ("says_no_goodbye", "one_client", "no end within", SHORT),
    ("says_no_goodbye", "an_empty_connection", "no end within", SHORT),
    ("stops_after_a_reset", "reset", "client", PATIENCE),
    ("stops_after_a_reset", "reset_beside_others", "client", PATIENCE),
    ("stops_after_a_reset", "a_client_that_leaves_early", "afterwards: ", PATIENCE),
    ("stops_after_nothing", "an_empty_connection", "client 1, who has nothing to say", PATIENCE),
    ("one_at_a_time", "two_clients_at_once", "the second client: no more than 0", SHORT),
    ("one_at_a_time", "a_slow_reader", "a client beside it: no more than 0", SHORT),
    ("one_at_a_time", "a_flood", "the flood does not flow", SHORT),
    ("one_at_a_time", "no_descriptors_left", "client 1: no more than 0", SHORT),
    ("unfair", "a_flood", "beside a flood: a polite client: no more than 0", SHORT),
    ("impatient", "a_slow_reader", "a client that does not read: ", PATIENCE),
    ("hoards", "a_slow_reader", "it hoards", PATIENCE),
    ("dies_without_descriptors", "no_descriptors_left", "client", PATIENCE),
    ("spins_without_descriptors", "no_descriptors_left", "with nothing to do it never slept", PATIENCE),
    ("keeps_descriptors", "no_descriptors_left", "no more than 0 of 100 bytes", SHORT),
    ("spins", "silence_costs_nothing", "before the first client: with nothing to do it never slept", PATIENCE),
    ("turns_many_away", "five_hundred_silent_clients", "client 400: ", PATIENCE),
    ("turns_many_away", "five_hundred_clients", "client 4", PATIENCE),
    #[cfg(target_os = "linux")]
    ("polls", "silence_costs_nothing", "with nothing to do it woke up", PATIENCE),
    #[cfg(target_os = "linux")]
    ("alone", "every_domain_serves", "of 4 threads", PATIENCE),
    ("never_bored", "idle_clients_are_closed", "a client that never says anything: no end within", SHORT),
    ("bored", "idle_clients_are_closed", "an active client: ", PATIENCE),
    ("talks_first", "a_log_whose_reader_is_stuck", "no more than 0 of", SHORT),
    ("abrupt", "a_graceful_stop", "client", PATIENCE),
    ("patient", "the_end_of_grace", "an idle client: no end within", SHORT),
    ("deaf", "a_second_signal", "it does not end within", SHORT),
    ("one_address", "several_addresses", "it does not say `listening on ADDR` within", SHORT),
    ("crowded", "places_for_clients", "is answered, and should be kept waiting", PATIENCE),
    ("tears", "a_line_for_each_client", "this is no line for a client", PATIENCE),
    ("blind", "a_look_at_the_tasks", "it does not say what its tasks do", SHORT),
    ("careless", "a_port_in_use", "is in use: this should be said", PATIENCE),
    ("careless", "a_bad_option", "--no-such-option", SHORT),
    ("stubborn", "ctrl_c", "it does not end within", SHORT),
];

/// The same for a small soak.
#[rustfmt::skip] // a line for each
const SOAKED: &[(&str, &str, Duration)] = &[
    #[cfg(target_os = "linux")]
    ("keeps_descriptors", "WRONG descriptors at rest", PATIENCE),
    #[cfg(target_os = "linux")]
    ("keeps_memory", "WRONG memory at rest", PATIENCE),
    #[cfg(target_os = "linux")]
    ("keeps_threads", "WRONG threads at rest", PATIENCE),
    ("never_bored", ": no end within", SHORT),
    ("stops_after_a_reset", "clients complain: client", SHORT),
    ("swaps", " instead of ", PATIENCE),
    ("spins", "WRONG work while nobody is there", PATIENCE),
];

type Run = Box<dyn FnOnce() -> Result + Send>;

pub(crate) fn all() -> Vec<(String, Run)> {
    let mut tests: Vec<(String, Run)> = Vec::new();
    for property in TABLE {
        let check = property.check();
        let name = property.name;
        tests.push((
            format!("a_good_server::{name}"),
            Box::new(move || passes(check)),
        ));
        if let Some(before) = property.before() {
            let name = format!("a_good_server::is_too_good_for::{name}");
            tests.push((
                name,
                Box::new(move || is_caught("good", before, "", PATIENCE)),
            ));
        }
    }
    for &(bad, property, said, patience) in CAUGHT {
        tests.push((
            format!("one_that_{bad}::{property}"),
            Box::new(move || {
                let found = TABLE.iter().find(|entry| entry.name == property);
                let check = found.ok_or("there is no such property")?.check();
                is_caught(bad, check, said, patience)
            }),
        ));
    }
    tests.push((
        "a_good_server::a_small_soak".to_owned(),
        Box::new(|| passes(a_small_soak)),
    ));
    for &(bad, said, patience) in SOAKED {
        tests.push((
            format!("one_that_{bad}::a_small_soak"),
            Box::new(move || is_caught(bad, a_small_soak, said, patience)),
        ));
    }
    tests
}

fn program(bad: &str) -> Result<Program> {
    let path = env::current_exe().map_err(|error| error.to_string())?;
    let program = Program::new(path).variable(bad::VARIABLE, bad);
    Ok(match bad {
        "stubborn" => program.after("trap '' INT"),
        _ => program,
    })
}

fn passes(check: Check) -> Result {
    let program = program("good")?;
    check(&program).map_err(|wrong| program.explain(&wrong))
}

fn is_caught(bad: &str, check: Check, said: &str, patience: Duration) -> Result {
    let program = program(bad)?.patience(patience);
    match check(&program) {
        Ok(()) => Err(program.explain("nothing was found to be wrong with it")),
        Err(wrong) if wrong.contains(said) => Ok(()),
        Err(wrong) => {
            let message =
                format!("what was found is not what is wrong with it (`{said}`): {wrong}");
            Err(program.explain(&message))
        }
    }
}
