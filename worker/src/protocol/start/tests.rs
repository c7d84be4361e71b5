use super::*;
use crate::protocol::progress::{Delivery, HEAD_SCHEMA, METADATA_FORMAT, Metadata};

fn log(start: i64, end: i64) -> Log {
    Log { start, end, topic_id: Some("topic".to_owned()) }
}

fn first(starts: &[i64]) -> FirstStart {
    FirstStart {
        incarnation: "1-00000001".to_owned(),
        topic_id: Some("topic".to_owned()),
        starts: starts.to_vec(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "this is how progress holds it")]
fn last(offset: i64) -> Option<LastRecord> {
    Some(LastRecord { offset, fingerprint: 7 })
}

fn kafka(next: i64) -> Committed {
    Committed::Ours(KafkaProgress {
        next,
        metadata: Metadata {
            format: METADATA_FORMAT.to_owned(),
            pipeline: "p".to_owned(),
            incarnation: "1-00000001".to_owned(),
            topic_id: Some("topic".to_owned()),
            base: 5,
            last: last(next - 1),
            revisions: Vec::new(),
            delivery: Delivery::default(),
            partly_delivered: false,
        },
    })
}

fn head(next: i64, kafka_next: i64) -> Head {
    Head {
        schema: HEAD_SCHEMA,
        incarnation: "1-00000001".to_owned(),
        topic_id: Some("topic".to_owned()),
        base: 5,
        next,
        last: last(next - 1),
        last_timestamp_ms: 0,
        kafka_next,
        kafka_last: last(kafka_next - 1),
        delivery: Delivery::default(),
        gaps: Vec::new(),
        owner: "p/w".to_owned(),
        rebuilt_with_revision: None,
    }
}

#[test]
fn a_first_start_begins_where_the_record_says_and_a_later_partition_at_its_oldest_record() {
    let plan = decide(0, &Committed::Absent, None, &log(3, 9), &first(&[9]), true).unwrap();
    assert_eq!((plan.base, plan.kafka_next, plan.state_next, plan.commit_at_once), (9, 9, 9, true));
    let later = decide(1, &Committed::Absent, None, &log(3, 9), &first(&[9]), true).unwrap();
    assert_eq!((later.base, later.commit_at_once, later.gap), (3, false, None));
}

#[test]
fn records_lost_before_they_were_first_read_are_a_gap() {
    let plan = decide(0, &Committed::Absent, None, &log(7, 9), &first(&[2]), false).unwrap();
    assert_eq!(plan.gap, Some(Gap { from: 2, to: 7, reason: RETENTION.to_owned() }));
    assert_eq!((plan.state_next, plan.kafka_next), (7, 7));
}

#[test]
fn each_sink_keeps_its_own_gate_and_reading_starts_one_record_early_at_the_lower() {
    let plan = decide(0, &kafka(40), Some(&head(30, 30)), &log(5, 50), &first(&[5]), false).unwrap();
    assert_eq!((plan.kafka_next, plan.state_next, plan.keep_state), (40, 30, true));
    assert_eq!(plan.read_from(5), 29);
    let plan = decide(0, &kafka(30), Some(&head(40, 30)), &log(5, 50), &first(&[5]), false).unwrap();
    assert_eq!(plan.read_from(5), 29);
}

#[test]
fn a_lost_redis_is_counted_again_from_the_base_and_delivers_nothing_twice() {
    let plan = decide(0, &kafka(40), None, &log(8, 50), &first(&[5]), false).unwrap();
    assert_eq!((plan.base, plan.state_next, plan.kafka_next, plan.keep_state), (5, 8, 40, false));
    assert_eq!(plan.gap, Some(Gap { from: 5, to: 8, reason: RETENTION.to_owned() }));
    assert_eq!(plan.read_from(8), 8);
}

#[test]
fn expired_offsets_go_on_from_the_mirror_once_the_output_was_looked_at() {
    let plan = decide(0, &Committed::Absent, Some(&head(40, 40)), &log(5, 50), &first(&[5]), false).unwrap();
    assert!(plan.look_into_output);
    assert_eq!(plan.kafka_next, 40);
}

#[test]
fn offsets_of_a_stranger_another_topic_and_an_offset_beyond_the_end_halt() {
    let foreign = decide(0, &Committed::Foreign(3), Some(&head(40, 40)), &log(5, 50), &first(&[5]), false);
    assert_eq!(foreign, Err(Halt::ForeignOffset { offset: 3 }));
    let other = Log { topic_id: Some("other".to_owned()), ..log(0, 50) };
    assert!(matches!(
        decide(0, &kafka(40), Some(&head(40, 40)), &other, &first(&[5]), false),
        Err(Halt::TopicRecreated { .. })
    ));
    assert!(matches!(
        decide(0, &kafka(40), Some(&head(40, 40)), &log(0, 39), &first(&[5]), false),
        Err(Halt::BeyondEnd { .. })
    ));
}

#[test]
fn after_a_repair_the_new_incarnation_wins_over_every_older_offset() {
    let repaired = Head {
        incarnation: "2-00000002".to_owned(),
        base: 0,
        next: 0,
        last: None,
        kafka_next: 0,
        kafka_last: None,
        ..head(0, 0)
    };
    for committed in [kafka(40), Committed::Foreign(3), Committed::Absent] {
        let plan = decide(0, &committed, Some(&repaired), &log(0, 9), &first(&[5]), false).unwrap();
        assert_eq!((plan.kafka_next, plan.state_next, plan.look_into_output), (0, 0, false), "{committed:?}");
        assert_eq!(plan.incarnation, "2-00000002");
    }
}

#[test]
fn a_last_record_that_retention_took_is_neither_an_error_nor_a_gap() {
    let plan = decide(0, &kafka(40), Some(&head(40, 40)), &log(40, 50), &first(&[5]), false).unwrap();
    assert_eq!((plan.gap.clone(), plan.kafka_last, plan.state_last), (None, None, None));
    assert_eq!(plan.read_from(40), 40);
}
