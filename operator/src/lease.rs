//! Who leads: one Lease, and at most one operator that writes.
//!
//! Owns the rule and its clock-free form. Every write carries the version that it rests on, so that two who think alike cannot
//! both win; a leader that cannot renew in time ends its process rather than write on.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::PostParams;
use tokio::time::Instant;

/// What to do about the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Take it: nobody has it, or who had it is late.
    Acquire,
    /// It is mine: renew it.
    Renew,
    /// Another has it.
    Wait,
}

/// How long a lease lasts, and how often it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// One that was not renewed for so long may be taken.
    pub duration: Duration,
    /// A leader that could not renew for so long stops.
    pub renew_deadline: Duration,
    /// How often it is tried.
    pub retry: Duration,
}

/// When this process saw the lease change last: another's clock is never compared with this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The lease's version then.
    pub renewed: Option<Timestamp>,
    /// When it was seen here.
    pub at: Timestamp,
}

/// Decides. `seen`: when the lease was seen here first in its present form.
pub fn evaluate_lease(spec: Option<&LeaseSpec>, id: &str, seen: Option<Seen>, now: Timestamp) -> Step {
    let Some(spec) = spec else {
        return Step::Acquire;
    };
    match spec.holder_identity.as_deref() {
        None | Some("") => Step::Acquire,
        Some(holder) if holder == id => Step::Renew,
        Some(_) => {
            let seconds = i64::from(spec.lease_duration_seconds.unwrap_or(0).max(0));
            let unchanged = seen
                .filter(|seen| seen.renewed == spec.renew_time.as_ref().map(|time| time.0))
                .map(|seen| now.duration_since(seen.at));
            match unchanged {
                Some(unchanged) if unchanged > SignedDuration::from_secs(seconds) => Step::Acquire,
                _ => Step::Wait,
            }
        }
    }
}

/// The lease as it is after a step; none where nothing is to be written.
fn after(
    old: Option<&LeaseSpec>,
    step: Step,
    id: &str,
    duration: Duration,
    now: Timestamp,
) -> Option<LeaseSpec> {
    let old = old.cloned().unwrap_or_default();
    let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
    match step {
        Step::Wait => None,
        Step::Renew => {
            Some(LeaseSpec { lease_duration_seconds: Some(seconds), renew_time: Some(MicroTime(now)), ..old })
        }
        Step::Acquire => Some(LeaseSpec {
            acquire_time: Some(MicroTime(now)),
            holder_identity: Some(id.to_owned()),
            lease_duration_seconds: Some(seconds),
            lease_transitions: Some(old.lease_transitions.map_or(0, |transitions| transitions + 1)),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

/// This process's part in an election.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    id: String,
    times: Times,
    seen: Option<Seen>,
}

impl Candidate {
    /// Takes part under `id`.
    pub fn new(leases: Api<Lease>, name: String, id: String, times: Times) -> Self {
        Self { leases, name, id, times, seen: None }
    }

    /// Waits until this process leads.
    pub async fn lead(&mut self) {
        loop {
            match self.turn().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, lease = self.name, "failed to ask for the lease"),
            }
            tokio::time::sleep(self.times.retry).await;
        }
    }

    /// Renews until that fails for too long, or another has the lease; then whoever wrote until now must have stopped.
    pub async fn keep(&mut self) {
        let mut renewed_at = Instant::now();
        loop {
            tokio::time::sleep(self.times.retry).await;
            let left = self.times.renew_deadline.saturating_sub(renewed_at.elapsed());
            match tokio::time::timeout(left, self.turn()).await {
                Ok(Ok(true)) => renewed_at = Instant::now(),
                Ok(Ok(false)) => {
                    tracing::error!(lease = self.name, "another operator has the lease");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, lease = self.name, "failed to renew the lease"),
                Err(_) => {
                    tracing::error!(lease = self.name, "the lease was not renewed in time");
                    return;
                }
            }
        }
    }

    /// Gives the lease back, so that another need not wait.
    pub async fn release(&mut self) -> Result<(), kube::Error> {
        for _ in 1..RELEASES_MAX {
            match self.try_to_release().await {
                // This process's own last renewal was still on its way.
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                result => return result,
            }
        }
        self.try_to_release().await
    }

    async fn try_to_release(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else {
            return Ok(());
        };
        let is_mine = |spec: &LeaseSpec| spec.holder_identity.as_deref() == Some(self.id.as_str());
        if let Some(spec) = lease.spec.as_mut().filter(|spec| is_mine(spec)) {
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            self.leases.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    /// One look and one write at most; whether the lease is mine then.
    async fn turn(&mut self) -> Result<bool, kube::Error> {
        let found = self.leases.get_opt(&self.name).await?;
        let spec = found.as_ref().and_then(|lease| lease.spec.as_ref());
        let now = Timestamp::now();
        let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
        if self.seen.is_none_or(|seen| seen.renewed != renewed) {
            self.seen = Some(Seen { renewed, at: now });
        }
        let step = evaluate_lease(spec, &self.id, self.seen, now);
        let Some(spec) = after(spec, step, &self.id, self.times.duration, now) else {
            return Ok(false);
        };
        let written = if let Some(lease) = found {
            // With the version that was read: who wrote meanwhile wins.
            let lease = Lease { spec: Some(spec), ..lease };
            self.leases.replace(&self.name, &PostParams::default(), &lease).await
        } else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(spec) };
            self.leases.create(&PostParams::default(), &lease).await
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// One more than there are writes that can be on their way.
const RELEASES_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn held_by(holder: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            lease_transitions: Some(4),
            renew_time: Some(MicroTime(at(renewed))),
            ..LeaseSpec::default()
        }
    }

    fn seen(renewed: i64, at_second: i64) -> Seen {
        Seen { renewed: Some(at(renewed)), at: at(at_second) }
    }

    #[test]
    fn a_lease_that_nobody_has_is_taken() {
        assert_eq!(evaluate_lease(None, "me", None, at(0)), Step::Acquire);
        assert_eq!(evaluate_lease(Some(&held_by("", 0)), "me", None, at(0)), Step::Acquire);
        assert_eq!(evaluate_lease(Some(&LeaseSpec::default()), "me", None, at(0)), Step::Acquire);
    }

    #[test]
    fn my_own_is_renewed_however_late() {
        assert_eq!(evaluate_lease(Some(&held_by("me", 0)), "me", None, at(1000)), Step::Renew);
    }

    #[test]
    fn anothers_is_taken_only_after_it_stood_still_for_its_duration_here() {
        let lease = held_by("other", 100);
        assert_eq!(evaluate_lease(Some(&lease), "me", None, at(9999)), Step::Wait, "never seen before");
        assert_eq!(evaluate_lease(Some(&lease), "me", Some(seen(100, 200)), at(215)), Step::Wait);
        assert_eq!(evaluate_lease(Some(&lease), "me", Some(seen(100, 200)), at(216)), Step::Acquire);
        assert_eq!(
            evaluate_lease(Some(&lease), "me", Some(seen(90, 200)), at(999)),
            Step::Wait,
            "renewed meanwhile"
        );
    }

    #[test]
    fn a_step_says_what_is_written() {
        let old = held_by("other", 100);
        let duration = Duration::from_secs(15);
        assert_eq!(after(Some(&old), Step::Wait, "me", duration, at(5)), None);
        let taken = after(Some(&old), Step::Acquire, "me", duration, at(5)).unwrap();
        assert_eq!(taken.holder_identity.as_deref(), Some("me"));
        assert_eq!((taken.lease_transitions, taken.lease_duration_seconds), (Some(5), Some(15)));
        assert_eq!(taken.acquire_time, taken.renew_time);
        let renewed = after(Some(&taken), Step::Renew, "me", duration, at(9)).unwrap();
        assert_eq!((renewed.acquire_time, renewed.renew_time), (taken.acquire_time, Some(MicroTime(at(9)))));
        assert_eq!(renewed.lease_transitions, Some(5));
        assert_eq!(after(None, Step::Acquire, "me", duration, at(5)).unwrap().lease_transitions, Some(0));
    }
}
