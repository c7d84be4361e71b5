//! Tests of the state as a whole: whatever the cuts, the log alone decides.

use std::sync::Arc;

use chrono_tz::Tz;
use proptest::prelude::*;

use super::testing::{Stored, count, login, spec};
use super::*;
use crate::time::DAY_MS;

/// What happens to a state, in order.
#[derive(Clone, Debug)]
enum Step {
    Login {
        day: i64,
        hour: i64,
        processed: bool,
        device: u8,
        locale: u8,
        user: u8,
    },
    DeadLetter(usize),
    /// Another revision: which of the layouts.
    Adopt(usize),
}

/// What a worker does between two records, which must not matter.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Flush,
    Forget(usize),
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    let days = prop_oneof![4 => 440..445_i64, 1 => 0..445_i64];
    let login = (days, 0..24_i64, any::<bool>(), 0..60_u8, 0..4_u8, any::<u8>());
    prop_oneof![
        30 => login.prop_map(|(day, hour, processed, device, locale, user)| Step::Login {
            day, hour, processed, device, locale, user
        }),
        2 => (0..Reason::ALL.len()).prop_map(Step::DeadLetter),
        1 => (0..4_usize).prop_map(Step::Adopt),
    ]
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![Just(Cut::Flush), (0..3_usize).prop_map(Cut::Forget), Just(Cut::Restore)]
}

/// The layouts that steps adopt, as revisions would name them.
fn layout(choice: usize, revision: u64) -> Arc<Layout> {
    let (dimensions, unique): (&[&str], &[&str]) = match choice {
        0 => (&["device", "locale"], &["user"]),
        1 => (&["locale"], &["user"]),
        2 => (&["locale", "device"], &[]),
        _ => (&["device", "locale"], &["user", "device"]),
    };
    let mut spec = spec(dimensions, unique);
    spec.revision = revision;
    spec.insights.time_zone = if choice == 1 { Tz::Asia__Kathmandu } else { Tz::America__New_York };
    spec.insights.max_values = std::num::NonZeroU32::new(if choice == 3 { 7 } else { 40 }).unwrap();
    Arc::new(Layout::new(&spec, &[]))
}

struct Run {
    state: PartitionState,
    stored: Stored,
    layout: (usize, Arc<Layout>),
    flushes: u64,
}

impl Run {
    fn new() -> Self {
        let first = layout(0, 1);
        let state = PartitionState::new(Arc::clone(&first));
        Self { state, stored: Stored::default(), layout: (0, first), flushes: 0 }
    }

    fn step(&mut self, index: usize, step: &Step) {
        match step {
            Step::Adopt(choice) => {
                self.layout = (*choice, layout(*choice, index as u64 + 2));
                self.state.adopt(Arc::clone(&self.layout.1));
            }
            Step::DeadLetter(index) => self.state.count_dead_letter(Reason::ALL[*index]),
            Step::Login { day, hour, processed, device, locale, user } => {
                let (device, user) = (format!("d{device}"), format!("u{user}"));
                let locale = ["", "~other", "EN", "DE"][usize::from(*locale)];
                let time_ms = (18_000 + day) * DAY_MS + hour * 3_600_000;
                let (dimensions, unique): (&[&str], &[Option<&str>]) = match self.layout.0 {
                    0 => (&[&device, locale], &[Some(&user)]),
                    1 => (&[locale], &[None]),
                    2 => (&[locale, &device], &[]),
                    _ => (&[&device, locale], &[Some(&user), Some(&device)]),
                };
                count(&mut self.state, &self.stored, &login(time_ms, *processed, dimensions, unique));
            }
        }
    }

    fn cut(&mut self, cut: Cut) {
        match cut {
            Cut::Flush => self.flush(),
            Cut::Forget(keep_newest) => self.state.forget_clean_scopes(keep_newest),
            Cut::Restore => {
                self.flush();
                self.state = self.stored.restore(&self.layout.1);
            }
        }
    }

    fn flush(&mut self) {
        self.flushes += 1;
        self.stored.apply(self.state.take_changes(self.flushes));
    }

    /// Everything that is stored, written anew in one flush.
    fn image(mut self) -> Stored {
        self.flush();
        let manifest = Manifest::decode(&self.stored.manifest).unwrap();
        let days = manifest.days.versions.iter().map(|(day, _)| Scope::Day(*day));
        let distinct = manifest.distinct.versions.iter().map(|(day, _)| Scope::Distinct(*day));
        for scope in days.chain(distinct) {
            self.state.insert_scope(scope, &self.stored.parts(scope)).unwrap();
        }
        self.state.tables.iter_mut().for_each(Table::touch_all);
        for entry in self.state.days.entries_mut() {
            let day = entry.loaded.as_mut().unwrap();
            day.dirty = true;
            day.tables.iter_mut().for_each(Table::touch_all);
        }
        for entry in self.state.distinct.entries_mut() {
            let distinct = entry.loaded.as_mut().unwrap();
            distinct.dirty = true;
            distinct.sketches.iter_mut().for_each(Sketch::touch_all);
        }
        self.stored.apply(self.state.take_changes(1_000_000));
        self.stored.scopes.retain(|_, parts| !parts.is_empty());
        self.stored
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cuts_and_what_is_in_memory_do_not_matter(
        steps in proptest::collection::vec((step(), proptest::option::weighted(0.1, cut())), 1..400),
    ) {
        let (mut whole, mut cut) = (Run::new(), Run::new());
        for (index, (step, between)) in steps.iter().enumerate() {
            whole.step(index, step);
            cut.step(index, step);
            if let Some(between) = between {
                cut.cut(*between);
            }
        }
        // Nothing may lie about that the manifest does not lead to: the images hold all stored parts.
        prop_assert_eq!(cut.image(), whole.image());
    }

    #[test]
    fn damaged_parts_are_errors_and_no_panics(
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        cut_at in proptest::option::of(any::<usize>()),
        victim: usize,
    ) {
        let mut run = Run::new();
        for number in 0..200_u8 {
            let day = i64::from(number % 3);
            let step = Step::Login { day, hour: 7, processed: true, device: number, locale: number % 4, user: number };
            run.step(0, &step);
        }
        run.flush();
        let spoil = |bytes: &mut Vec<u8>| {
            for (place, byte) in &damage {
                let place = place % bytes.len();
                bytes[place] = *byte;
            }
            if let Some(cut_at) = cut_at {
                bytes.truncate(cut_at % bytes.len());
            }
        };
        let mut parts: Vec<&mut Vec<u8>> = run.stored.scopes.values_mut().flat_map(Parts::values_mut).collect();
        let victim = victim % (parts.len() + 1);
        match parts.get_mut(victim) {
            Some(part) => spoil(part),
            None => spoil(&mut run.stored.manifest),
        }
        let all_time = run.stored.parts(Scope::AllTime);
        if let Ok(mut state) = PartitionState::restore(layout(0, 1), &run.stored.manifest, &all_time) {
            let mut sound = true;
            for (scope, parts) in &run.stored.scopes {
                sound &= state.insert_scope(*scope, parts).is_ok();
            }
            if sound {
                let login = login(18_001 * DAY_MS, true, &["d1", "EN"], &[Some("u1")]);
                let mut missing = BTreeSet::new();
                state.missing_scopes(login.time_ms, &mut missing);
                if missing.is_empty() {
                    prop_assert_eq!(state.count_login(login), Ok(()));
                }
                state.take_changes(2);
            }
        }
    }
}

fn count_days(days: impl IntoIterator<Item = i64>) -> PartitionState {
    let mut state = PartitionState::new(layout(0, 1));
    for day in days {
        let login = login((18_000 + day) * DAY_MS + DAY_MS / 2, true, &["d", "EN"], &[Some("u")]);
        state.count_login(login).unwrap();
    }
    state
}

fn kept(state: &mut PartitionState) -> Manifest {
    Manifest::decode(&state.take_changes(1).manifest).unwrap()
}

#[test]
fn the_newest_days_are_kept_and_the_oldest_is_let_go() {
    let full = kept(&mut count_days(0..400));
    assert_eq!((full.days.versions.len(), full.days.floor()), (400, None));
    assert_eq!((full.distinct.versions.len(), full.distinct.floor()), (40, Some(Day(18_360))));

    let one_more = kept(&mut count_days((0..400).chain([500])));
    assert_eq!((one_more.days.versions.len(), one_more.days.floor()), (400, Some(Day(18_001))));

    let mut too_old = count_days((0..400).chain([-1]));
    assert_eq!(too_old.totals().logins, 401);
    let too_old = kept(&mut too_old);
    assert_eq!((too_old.days.versions.len(), too_old.days.floor()), (400, Some(Day(18_000))));
}

#[test]
fn a_login_of_a_day_that_is_not_loaded_is_refused() {
    let mut state = count_days([0]);
    let changes = state.take_changes(1);
    let mut stored = Stored::default();
    stored.apply(changes);
    let mut restored = stored.restore(&layout(0, 1));
    let login = login(18_000 * DAY_MS + DAY_MS / 2, true, &["d", "EN"], &[Some("u")]);
    assert_eq!(restored.count_login(login.clone()), Err(Error::NotLoaded { scope: Scope::Day(Day(18_000)) }));
    restored.insert_scope(Scope::Day(Day(18_000)), &stored.parts(Scope::Day(Day(18_000)))).unwrap();
    assert_eq!(
        restored.count_login(login.clone()),
        Err(Error::NotLoaded { scope: Scope::Distinct(Day(18_000)) })
    );
    assert_eq!(restored.totals().logins, 1);
    assert!(restored.take_changes(2).puts.is_empty());

    let mut missing = BTreeSet::new();
    state.missing_scopes(login.time_ms, &mut missing);
    assert!(missing.is_empty());
    state.forget_clean_scopes(0);
    state.missing_scopes(login.time_ms, &mut missing);
    assert_eq!(missing, [Scope::Day(Day(18_000)), Scope::Distinct(Day(18_000))].into());
}

#[test]
fn a_flush_without_new_records_writes_no_parts() {
    let mut state = count_days([0, 1]);
    assert!(!state.take_changes(1).puts.is_empty());
    let changes = state.take_changes(2);
    assert_eq!((changes.puts, changes.deletes, changes.drops), (vec![], vec![], vec![]));
}
