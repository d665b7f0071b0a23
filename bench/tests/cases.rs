//! The benchmarks do what they are to measure. How long they take is not for a test to judge.

use bench::CASES;

#[test]
fn the_cases_run() {
    for case in CASES {
        let times = [(case.ours)(100), (case.theirs)(100)];
        assert!(times.iter().all(|time| !time.is_zero()), "{}", case.name);
    }
}
