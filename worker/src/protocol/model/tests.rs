use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries};

use super::configuration::Configuration;
use super::mutant::MUTANTS;
use super::*;

fn check(model: Protocol, finish: HasDiscoveries) -> impl Checker<Protocol> {
    model.checker().threads(2).finish_when(finish).spawn_bfs().join()
}

#[test]
fn every_promise_holds_whatever_goes_wrong() {
    for configuration in Configuration::ALL {
        let started_at = Instant::now();
        let checker = check(Protocol::new(configuration, None), HasDiscoveries::AnyFailures);
        println!("{configuration:?}: {} states in {:?}", checker.unique_state_count(), started_at.elapsed());
        if let Some((promise, path)) = checker.discoveries().into_iter().next() {
            panic!("{configuration:?}: not so: {promise}, after {:?}", path.into_actions());
        }
        for event in configuration.events() {
            assert!(checker.model().has_seen(*event), "{configuration:?}: {event:?} never happened");
        }
    }
}

#[test]
fn every_mistake_is_found() {
    for (mutant, configuration, promise) in MUTANTS {
        let started_at = Instant::now();
        let finish = HasDiscoveries::AllOf(BTreeSet::from([promise]));
        let checker = check(Protocol::new(configuration, Some(mutant)), finish);
        println!("{mutant:?}: {} states in {:?}", checker.unique_state_count(), started_at.elapsed());
        assert!(checker.discovery(promise).is_some(), "{mutant:?}: it must not be that {promise}");
    }
}
