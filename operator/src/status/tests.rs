//! Claims about whole statuses.

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentSpec, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;
use crate::observe::{Document, Reach};
use crate::resource::DesiredState;
use crate::scaling::{Figures, Reason};
use crate::testing::minimal;

fn deployment(desired: i32, ready: i32) -> Deployment {
    Deployment {
        metadata: ObjectMeta { generation: Some(1), ..ObjectMeta::default() },
        spec: Some(DeploymentSpec { replicas: Some(desired), ..DeploymentSpec::default() }),
        status: Some(DeploymentStatus {
            observed_generation: Some(1),
            replicas: Some(desired),
            updated_replicas: Some(desired),
            ready_replicas: Some(ready),
            ..DeploymentStatus::default()
        }),
    }
}

fn decision(lag: Option<u64>, age_ms: Option<u64>) -> Decision {
    Decision {
        replicas: 2,
        recommended: 2,
        reason: Reason::WithinTarget,
        sentence: "two are enough".to_owned(),
        figures: Figures { lag, lag_age_ms: age_ms, ..Figures::default() },
    }
}

fn observed() -> Observed {
    Observed {
        kafka: Reach::Answered,
        redis: Reach::Answered,
        partitions: Some(6),
        document: Some(Document::default()),
        ..Observed::default()
    }
}

struct Case {
    rollcall: Rollcall,
    obstacle: Option<Obstacle>,
    deployment: Option<Deployment>,
    observed: Observed,
    decision: Option<Decision>,
    state: State,
    second: i64,
}

impl Case {
    fn well() -> Self {
        Self {
            rollcall: minimal(),
            obstacle: None,
            deployment: Some(deployment(2, 2)),
            observed: observed(),
            decision: Some(decision(Some(0), Some(0))),
            state: State::default(),
            second: 100,
        }
    }

    fn status(&self) -> RollcallStatus {
        status(&Known {
            rollcall: &self.rollcall,
            group: Some("rollcall.analytics.user-login"),
            obstacle: self.obstacle.as_ref(),
            unasked: None,
            deployment: self.deployment.as_ref(),
            observed: &self.observed,
            decision: self.decision.as_ref(),
            state: &self.state,
            now: Timestamp::from_second(self.second).unwrap(),
        })
    }

    /// Status and reason of a condition.
    fn is(&self, type_: &str) -> (String, String) {
        let status = self.status();
        let condition = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
        (condition.status.clone(), condition.reason.clone())
    }

    fn assert_is(&self, type_: &str, status: &str, reason: &str) {
        assert_eq!(self.is(type_), (status.to_owned(), reason.to_owned()), "{type_}");
    }
}

#[test]
fn all_conditions_are_there_from_first_sight() {
    let case = Case { deployment: None, observed: Observed::default(), decision: None, ..Case::well() };
    let status = case.status();
    let types: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, TYPES);
    assert!(status.conditions.iter().all(|condition| !condition.reason.is_empty()));
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(1)));
    case.assert_is("Ready", "Unknown", "Starting");
    case.assert_is("KafkaReachable", "Unknown", "NotAskedYet");
    assert_eq!(status.lag, None);
    assert_eq!(
        status.selector,
        "app.kubernetes.io/instance=user-login,app.kubernetes.io/name=rollcall-worker"
    );
}

#[test]
fn a_pipeline_that_works_is_ready_and_settled() {
    let case = Case::well();
    for (type_, status, reason) in [
        ("Ready", "True", "Running"),
        ("Reconciling", "False", "AsWritten"),
        ("Stalled", "False", "Progressing"),
        ("ConfigurationValid", "True", "Accepted"),
        ("WorkersAvailable", "True", "AllReady"),
        ("ScalingActive", "True", "WithinTarget"),
        ("KeepingUp", "True", "WithinTarget"),
        ("DataComplete", "True", "NoGaps"),
    ] {
        case.assert_is(type_, status, reason);
    }
}

#[test]
fn unknown_lag_is_its_own_state() {
    let case = Case { decision: Some(decision(None, None)), ..Case::well() };
    case.assert_is("KeepingUp", "Unknown", "LagUnknown");
    assert_eq!(case.status().lag, None);
    let case = Case { decision: Some(decision(Some(5), Some(61_000))), ..Case::well() };
    case.assert_is("KeepingUp", "False", "Behind");
    assert_eq!(case.status().lag.unwrap().seconds, Some(61));
}

#[test]
fn a_bad_specification_is_told_while_the_last_good_one_runs() {
    let obstacle = Obstacle {
        reason: "Mistakes".to_owned(),
        message: "insights.timeZone: no".to_owned(),
        of_configuration: true,
    };
    let case = Case { obstacle: Some(obstacle), ..Case::well() };
    case.assert_is("ConfigurationValid", "False", "Mistakes");
    case.assert_is("Stalled", "True", "Mistakes");
    case.assert_is("Ready", "False", "Mistakes");
    case.assert_is("Reconciling", "False", "Stalled");
    assert_eq!(case.status().ready_replicas, 2);
}

#[test]
fn workers_that_start_or_get_stuck_are_told_apart() {
    let mut case = Case { deployment: Some(deployment(2, 1)), ..Case::well() };
    case.assert_is("Reconciling", "True", "Starting");
    case.assert_is("WorkersAvailable", "False", "NotReady");
    case.assert_is("Ready", "True", "Running");
    let stuck = DeploymentCondition {
        type_: "Progressing".to_owned(),
        status: "False".to_owned(),
        reason: Some("ProgressDeadlineExceeded".to_owned()),
        ..DeploymentCondition::default()
    };
    case.deployment.as_mut().unwrap().status.as_mut().unwrap().conditions = Some(vec![stuck]);
    case.assert_is("Stalled", "True", "ProgressDeadlineExceeded");
    case.assert_is("Reconciling", "False", "Stalled");
}

#[test]
fn paused_is_ready_without_workers() {
    let mut case = Case { deployment: Some(deployment(0, 0)), ..Case::well() };
    case.rollcall.spec.desired_state = DesiredState::Paused;
    case.assert_is("Ready", "True", "Paused");
    case.assert_is("WorkersAvailable", "True", "Paused");
}

#[test]
fn what_is_away_or_lost_is_said() {
    let mut case = Case::well();
    case.observed.kafka = Reach::Failed { reason: "NoAnswer", message: "no route".to_owned() };
    case.observed.document.as_mut().unwrap().gaps = "380 offsets".to_owned();
    case.assert_is("KafkaReachable", "False", "NoAnswer");
    case.assert_is("Ready", "False", "NoAnswer");
    case.assert_is("DataComplete", "False", "Gaps");
}

#[test]
fn the_same_again_is_no_write_and_what_moves_waits() {
    let mut case = Case::well();
    let first = case.status();
    case.rollcall.status = Some(first.clone());
    case.second = 200;
    let second = case.status();
    assert_eq!(first, second, "a fixed point");
    assert!(!is_worth_writing(Some(&first), &second, true));
    case.decision = Some(decision(Some(7), Some(900)));
    let moved = case.status();
    assert!(!is_worth_writing(Some(&first), &moved, false));
    assert!(is_worth_writing(Some(&first), &moved, true));
    case.deployment = Some(deployment(2, 1));
    assert!(is_worth_writing(Some(&first), &case.status(), false), "a worker is gone");
    assert!(is_worth_writing(None, &first, false));
}
