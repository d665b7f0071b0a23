//! Each chapter, copied to a folder of its own, compiles there and passes its tests.

use std::process::ExitCode;

use book_tests::copied_out::{faults, test_copy};
use book_tests::{chapters, here};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let place = here!();
    let names = match chapters(&place.root) {
        Ok(names) => names,
        Err(error) => {
            eprintln!("chapters: cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    for name in names {
        let (here, chapter) = (place.clone(), name.clone());
        trials.push(Trial::test(format!("{name} stands alone"), move || {
            let faults = faults(&here.root, &chapter);
            if faults.is_empty() {
                Ok(())
            } else {
                Err(Failed::from(faults.join("\n")))
            }
        }));
        let (here, chapter) = (place.clone(), name.clone());
        trials.push(Trial::test(
            format!("{name} passes its tests when copied out"),
            move || Ok(test_copy(&here, &here.root, &chapter)?),
        ));
    }
    trials.push(Trial::test(
        "what leans on the workspace is caught",
        move || {
            let message = match test_copy(
                &place,
                &place.root.join("tests/fixtures"),
                "ch98-leans-outside",
            ) {
                Ok(()) => return Err("its tests passed without the workspace".into()),
                Err(message) => message,
            };
            for part in ["chapters/ch98-leans-outside: copied out", "couldn't read"] {
                if !message.contains(part) {
                    return Err(format!("the message does not say {part:?}: {message}").into());
                }
            }
            Ok(())
        },
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
