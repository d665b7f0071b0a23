//! Domains: how many, how they are named, and who is called.

mod common;
mod world;

use ch08_mutexes_and_conditions::{
    Cx, Domain, NoDomainAvailable, Result, Runtime, await_all, run, yield_now,
};
use common::bounded;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Barrier};
use world::{assert_panicked, here, other, seeded, test, value_of, with};

#[test]
fn a_domain_is_a_thread_with_its_name() {
    test(3, async |cx| {
        assert_eq!(cx.domain(), Domain::ZERO);
        let mut names = vec![cx.domain().to_string()];
        for domain in cx.domains() {
            let (name, thread) = cx
                .call_on(domain, async move |cx| {
                    assert_eq!(cx.domain(), domain);
                    Ok((cx.domain().to_string(), here()))
                })?
                .await?;
            assert_eq!(name, thread);
            names.push(name);
        }
        assert_eq!(names, ["dom0", "dom1", "dom2", "dom3"]);
        Ok(())
    });
}

#[test]
fn domains_work_at_the_same_time() {
    test(3, async |cx| {
        // Each of them blocks its thread until all have come.
        let barrier = Arc::new(Barrier::new(3));
        let met = cx.parallel(0..3, async move |_, _| {
            barrier.wait();
            Ok(())
        });
        for result in met.await? {
            result?;
        }
        Ok(())
    });
}

#[test]
fn by_default_there_is_a_domain_for_each_further_core() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = bounded(|| run(async |cx| Ok(cx.domains().len())));
    assert_eq!(count.expect("ends well"), cores - 1);
}

#[test]
fn domains_0_has_nobody_to_call() {
    test(0, async |cx| {
        assert_eq!(cx.domains().len(), 0);
        let error = cx.call(async |_| Ok(())).expect_err("nobody to call");
        assert_eq!(
            error.to_string(),
            "there is no other domain to call; start more, or use spawn"
        );
        assert!(cx.call_on(Domain::ZERO, async |_| Ok(())).is_err());
        let failure = cx
            .parallel(1..3, async |_, n| Ok(n))
            .await
            .expect_err("nobody to call");
        assert!(
            failure.downcast_ref::<NoDomainAvailable>().is_some(),
            "{failure:?}"
        );
        let mut orphans = cx.orphans();
        assert!(orphans.call(async |_| Ok(())).is_err());
        assert!(orphans.is_empty() && orphans.next().await.is_none());
        // Fibers are none the worse for it.
        assert_eq!(cx.spawn(async |_| Ok(7)).await?, 7);
        Ok(())
    });
}

#[test]
fn domains_1_is_called_and_has_nobody_to_call() {
    test(1, async |cx| {
        let there: Vec<String> = cx.domains().map(|domain| domain.to_string()).collect();
        assert_eq!(there, ["dom1"]);
        let task = cx.call(async |cx| {
            assert_eq!(cx.domains().len(), 0);
            assert!(cx.call(async |_| Ok(())).is_err());
            cx.spawn(async |cx| Ok(cx.domain().to_string())).await
        })?;
        assert_eq!(task.await?, "dom1");
        Ok(())
    });
}

#[test]
fn run_inside_run_panics_on_any_domain() {
    test(1, async |cx| {
        let failure = cx
            .call(async |_| run(async |_| Ok(())))?
            .await
            .expect_err("panics");
        assert_panicked(&failure, "run was called inside run; use Cx::spawn there");
        // The domain is none the worse for it.
        cx.call(async |_| Ok(()))?.await
    });
}

#[test]
fn call_on_says_why_a_domain_cannot_be_called() {
    let far = value_of(3, async |cx| Ok(other(cx, 2)));
    test(2, async move |cx| {
        let refused = |cx: &Cx, domain| {
            let error = cx.call_on(domain, async |_| Ok(())).err();
            error.expect("refused").to_string()
        };
        let zero = "dom0 takes no calls; use another domain, or spawn";
        assert_eq!(refused(cx, Domain::ZERO), zero);
        assert_eq!(
            refused(cx, far),
            "dom3 is not another domain of this run; use spawn"
        );
        cx.call_on(other(cx, 0), async move |cx| {
            assert_eq!(refused(cx, Domain::ZERO), zero);
            let own = refused(cx, cx.domain());
            assert_eq!(own, "dom1 is not another domain of this run; use spawn");
            Ok(())
        })?
        .await
    });
}

/// Calls in a tree of calls, and notes who called whom.
async fn calls(cx: &Cx, depth: usize) -> Result<Vec<(Domain, Domain)>> {
    let mut pairs = Vec::new();
    if depth == 0 {
        return Ok(pairs);
    }
    let from = cx.domain();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(cx.call(async move |cx| {
            let mut pairs = Box::pin(calls(cx, depth - 1)).await?;
            pairs.push((from, cx.domain()));
            Ok(pairs)
        })?);
    }
    for result in await_all(&mut tasks).await {
        pairs.extend(result?);
    }
    Ok(pairs)
}

#[test]
fn rule_10_a_call_never_lands_on_dom0_nor_on_the_callers_own_domain() {
    for domains in [2, 3] {
        let mut seen = BTreeSet::new();
        for seed in 0..40 {
            let pairs = bounded(move || seeded(domains, seed).run(async |cx| calls(cx, 3).await));
            seen.extend(pairs.expect("ends well"));
        }
        let mut possible = BTreeSet::new();
        for (from, to) in seen.iter().copied() {
            assert_ne!(to, Domain::ZERO);
            assert_ne!(from, to);
            possible.insert((from, to));
        }
        // From dom0 to each, and from each to each other one.
        assert_eq!(possible.len(), domains + domains * (domains - 1));
    }
}

#[test]
fn rule_10_the_choice_is_even() {
    test(3, async |cx| {
        let mut counts = BTreeMap::new();
        for _ in 0..600 {
            let domain = cx.call(async |cx| Ok(cx.domain()))?.await?;
            *counts.entry(domain).or_insert(0) += 1;
        }
        // 200 each; the odds of less than 130 are one in ten million.
        assert!(
            counts.len() == 3 && counts.values().all(|&count| count > 130),
            "{counts:?}"
        );
        Ok(())
    });
}

#[test]
fn rule_10_with_the_same_seed_the_choices_are_the_same() {
    let choices = |seed| {
        let chosen = bounded(move || {
            seeded(3, seed).run(async |cx| {
                let mut chosen = Vec::new();
                for _ in 0..32 {
                    // From dom0, and from another one.
                    let task = cx.call(async |cx| {
                        let next = cx.call(async |cx| Ok(cx.domain()))?;
                        Ok((cx.domain(), next.await?))
                    })?;
                    chosen.push(task.await?);
                }
                Ok(chosen)
            })
        });
        chosen.expect("ends well")
    };
    assert_eq!(choices(1), choices(1));
    assert_ne!(choices(1), choices(2));
}

#[test]
fn runs_on_several_threads_do_not_meet() {
    let runs = (0..4).map(|number| {
        std::thread::spawn(move || {
            with(2).run(async move |cx| {
                let mut sum = 0;
                for _ in 0..50 {
                    sum += cx.call(async move |_| Ok(number))?.await?;
                    yield_now().await;
                }
                Ok(sum)
            })
        })
    });
    let runs: Vec<_> = runs.collect();
    let sums = bounded(|| {
        let sums = runs.into_iter().map(|run| run.join().expect("no panic"));
        sums.collect::<Result<Vec<i32>>>()
    });
    assert_eq!(sums.expect("all end well"), [0, 50, 100, 150]);
}

#[test]
fn a_runtime_can_be_cloned_and_run_again() {
    let runtime = Runtime::builder().domains(1).build();
    for _ in 0..3 {
        let again = runtime.clone();
        let name = bounded(|| again.run(async |cx| cx.call(async |_| Ok(here()))?.await));
        assert_eq!(name.expect("ends well"), "dom1");
    }
}
